"""Reads and writes small captures: enough to say which packet of a scenario is the decisive one."""
import struct


class Packet:
    def __init__(self, number, seconds, nanos, data, length):
        self.number, self.seconds, self.nanos, self.data, self.length = number, seconds, nanos, data, length
        self.kind, self.src, self.dst, self.sport, self.dport, self.flags, self.payload = "", "", "", 0, 0, "", b""
        ethertype = struct.unpack_from(">H", data, 12)[0]
        if ethertype == 0x0806:
            self.kind = "ARP"
            self.src, self.dst = dotted(data[28:32]), dotted(data[38:42])
            self.operation = struct.unpack_from(">H", data, 20)[0]
        elif ethertype == 0x0800:
            self.src, self.dst = dotted(data[26:30]), dotted(data[30:34])
            self.kind = {1: "ICMP", 6: "TCP", 17: "UDP"}.get(data[23], "")
        if self.kind == "TCP":
            at = 14 + 4 * (data[14] & 15)
            self.sport, self.dport, self.seq = struct.unpack_from(">HHI", data, at)
            self.flags = "".join(c for i, c in enumerate("FSRPA") if data[at + 13] >> i & 1)
            self.payload = data[at + 4 * (data[at + 12] >> 4):14 + struct.unpack_from(">H", data, 16)[0]]


def dotted(b):
    return ".".join(str(x) for x in b)


def read_pcap(path):
    with open(path, "rb") as file:
        data = file.read()
    nano = data[:4] == b"\x4d\x3c\xb2\xa1"
    packets, at = [], 24
    while at + 16 <= len(data):
        s, f, kept, length = struct.unpack_from("<IIII", data, at)
        packets.append(Packet(len(packets) + 1, s, f if nano else f * 1000, data[at + 16:at + 16 + kept], length))
        at += 16 + kept
    return packets


def read_pcapng(path):
    """What write_pcapng() wrote."""
    with open(path, "rb") as file:
        data = file.read()
    packets, at = [], 0
    while at + 12 <= len(data):
        kind, size = struct.unpack_from("<II", data, at)
        if kind == 6:
            _, high, low, kept, length = struct.unpack_from("<IIIII", data, at + 8)
            time = high << 32 | low
            packets.append(Packet(len(packets) + 1, time // 10**9, time % 10**9, data[at + 28:at + 28 + kept], length))
        at += size
    return packets


def read(path):
    return read_pcapng(path) if path.endswith(".pcapng") else read_pcap(path)


def block(kind, body):
    size = 12 + len(body)
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def option(code, value):
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def write_pcapng(path, packets, interface):
    with open(path, "wb") as out:
        out.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        out.write(block(1, struct.pack("<HHI", 1, 0, 262144) + option(2, interface.encode()) + option(9, b"\x09") + option(0, b"")))
        for p in packets:
            time = p.seconds * 10**9 + p.nanos
            out.write(block(6, struct.pack("<IIIII", 0, time >> 32, time & 0xffffffff, len(p.data), p.length) + p.data
                            + b"\0" * (-len(p.data) % 4)))


SMALL_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"      # upstream.py's answer when nothing is wrong


def frames_in(payload):
    """The types of the HTTP/2 frames that it begins with."""
    types = []
    while len(payload) >= 9:
        types.append(payload[3])
        payload = payload[9 + int.from_bytes(payload[:3], "big"):]
    return types


WHAT = {
    "SYN": lambda p: p.flags == "S",
    "FIN": lambda p: "F" in p.flags,
    "RST": lambda p: "R" in p.flags,
    "close": lambda p: "F" in p.flags or "R" in p.flags,
    "data": lambda p: p.payload and not p.payload.startswith(SMALL_OK),
    "last": lambda p: p.payload,
    "GOAWAY": lambda p: 7 in frames_in(p.payload),
    "RST_STREAM": lambda p: 3 in frames_in(p.payload),
}


def decisive(packets, which, upstream):
    """Frame numbers, each of which shows it. `which` is "ICMP", "ARP", "gateway answer" (the last), or who and what: upstream or gateway; SYN, FIN, RST, close,
    data, last (data), GOAWAY or RST_STREAM. Of alike packets on the last connection to the upstream the first counts (of SYNs every
    one). A gateway that gives up may
    close in front first."""
    host, _, port = upstream.rpartition(":")
    if which == "ICMP":
        return [p.number for p in packets if p.kind == "ICMP"]
    if which == "ARP":
        return [p.number for p in packets if p.kind == "ARP" and p.operation == 1 and p.dst == host]
    if which == "gateway answer":
        return [p.number for p in packets if p.kind == "TCP" and p.sport == 80 and p.payload][-1:]
    who, what = which.split()
    ends = (host, int(port))
    mine = [p for p in packets if p.kind == "TCP" and ends in ((p.dst, p.dport), (p.src, p.sport))]
    if not mine:
        return []
    last = mine[-1].sport if mine[-1].dst == host else mine[-1].dport
    mine = [p for p in mine if last in (p.sport, p.dport) and (p.src == host) == (who == "upstream")]
    numbers = [p.number for p in mine if WHAT[what](p)]
    if what == "SYN":
        return numbers
    if what == "last":
        return numbers[-1:]
    front = [p.number for p in packets if p.kind == "TCP" and p.sport == 80 and WHAT["close"](p)] if which == "gateway close" else []
    return sorted(numbers[:1] + front[:1])
