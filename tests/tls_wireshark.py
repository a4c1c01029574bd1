#!/usr/bin/env python3
"""tls_wireshark.py WHY502 TEST_TLS: what is inside TLS connections of libssl's, as tshark has it. Prints TAP.

TEST_TLS writes its connections down (WHY502_TLS_DUMP): sessions resumed by id, ticket and PSK, 0-RTT taken and refused, a
HelloRetryRequest, KeyUpdates, renegotiation, client certificates, key exchange by RSA. Each must give why502 the exchanges that
tshark finds: with its keys in a file; with a Decryption Secrets Block behind a third of the packets; with segments out of
order. Without its keys none, and not a word of what is inside. And no report has a byte of any secret in it.
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lab"))
import captured                         # noqa: E402

RSA, EARLY = "an_rsa_key_opens_its_key_exchange_and_resumed_sessions", "early_data_taken_and_refused"
TESTS = ("resumed_by_id_ticket_or_psk", "hello_retry_request", "keys_are_updated", "renegotiated", "client_certificate_given_and_empty",
         EARLY, RSA)
PACKETS_MAX = 120                       # those in segments of a byte tell nothing more here
SECONDS = 300
NET_FIRST = 0x0b00
DSB, TLS_KEYS = 10, 0x544c534b
INSIDE = ("GET", "/cart", "shop.example", "502 Bad")


class Connection:
    def __init__(self, test, path):
        stem = path[:-len(".pcap")]
        self.test, self.name, self.packets, self.keylog = test, os.path.basename(stem), captured.read_pcap(path), stem + ".keys"
        self.pem = stem + ".pem" if os.path.exists(stem + ".pem") else None
        with open(self.keylog, encoding="ascii") as f:
            self.keys = f.read()
        self.theirs, self.before = [], None

    def whole(self):
        """With the connection whose session it resumes: with an RSA key alone nothing else tells its secret."""
        if self.before is None:
            return self.packets
        return [captured.Packet(p.number, p.seconds, p.nanos, numbered(renamed(p.data, NET_FIRST)), p.length)
                for p in self.before.packets] + self.packets

    def inside(self):
        """Words of tshark's. It shows early data that the server refused, and so never saw (RFC 8446 4.2.10)."""
        words = sorted(self.theirs + (self.before.theirs if self.before else []))
        unanswered = words.count("GET") - words.count("502") if self.test == EARLY else 0
        for word in ["GET", "/cart?x=1"] * unanswered:
            words.remove(word)
        return words

    def options(self):
        return ["--rsa-key", self.pem] if self.pem else ["-k", self.keylog]

    def secrets(self):
        """Hexadecimal digits that nobody may print; of a private key its lines."""
        words = [line.split()[2] for line in self.keys.splitlines()]
        if self.pem:
            with open(self.pem, encoding="ascii") as f:
                words += [line.strip() for line in f if not line.startswith("---")]
        return [w for w in words if len(w) >= 16]


def renamed(data, upper):
    """Between hosts of another network. Nobody looks at check sums."""
    half = struct.pack(">H", upper)
    return data[:26] + half + data[28:30] + half + data[32:]


def numbered(data):
    """Its sequence numbers further on: equal ones would be one connection, seen twice."""
    at = 14 + 4 * (data[14] & 15) + 4
    seq, ack = struct.unpack_from(">II", data, at)
    return data[:at] + struct.pack(">II", seq + 77777, ack + 77777 if ack else 0) + data[at + 8:]


def write_pcap(path, frames):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHIIII", 0xa1b23c4d, 2, 4, 0, 0, 262144, 1))
        for p, data in frames:
            out.write(struct.pack("<IIII", p.seconds, p.nanos, len(data), p.length) + data)


def write_dsb_between(path, connection):
    """The secrets behind a third of the packets, as of a tool that reads them from time to time."""
    captured.write_pcapng(path, connection.packets, "eth0")
    with open(path, "rb") as f:
        data = f.read()
    text, at, n = connection.keys.encode(), 0, 0
    while n <= len(connection.packets) // 3:
        kind, size = struct.unpack_from("<II", data, at)
        n += kind == 6
        at += size
    block = captured.block(DSB, struct.pack("<II", TLS_KEYS, len(text)) + text + b"\0" * (-len(text) % 4))
    with open(path, "wb") as f:
        f.write(data[:at] + block + data[at:])


def out_of_order(packets):
    """Each second pair of segments with bytes, of one side, one after another: the later first."""
    order, at = [], 0
    while at < len(packets):
        pair = packets[at:at + 2]
        if len(pair) == 2 and all(p.payload for p in pair) and pair[0].src == pair[1].src:
            order += [pair[1], pair[0]]
            at += 2
        else:
            order.append(pair[0])
            at += 1
    swapped = []
    for place, p in zip(packets, order):        # times stay in order
        swapped.append(captured.Packet(place.number, place.seconds, place.nanos, p.data, p.length))
    return swapped


def in_parts(packets, most):
    """The same bytes in segments of at most so many."""
    parts = []
    for p in packets:
        at = 14 + 4 * (p.data[14] & 15)
        head, payload, seq = p.data[:len(p.data) - len(p.payload)], p.payload, struct.unpack_from(">I", p.data, at + 4)[0]
        for n in range(0, max(1, len(payload)), most):
            piece = payload[n:n + most]
            ip = head[14:16] + struct.pack(">H", len(head) - 14 + len(piece)) + head[18:at]
            data = head[:14] + ip + head[at:at + 4] + struct.pack(">I", (seq + n) & 0xffffffff) + head[at + 8:] + piece
            parts.append(captured.Packet(len(parts) + 1, p.seconds, p.nanos, data, len(data)))
    return parts


# ---- what each says ------------------------------------------------------------------------------

def exchanges_of_tshark(connections, folder):
    """Fills `theirs` of all: one run, each connection between hosts of its own."""
    frames, path = [], os.path.join(folder, "all.pcap")
    for n, c in enumerate(connections):
        frames += [(p, renamed(p.data, NET_FIRST + n)) for p in c.packets]
    write_pcap(path, frames)
    with open(os.path.join(folder, "all.keys"), "w", encoding="ascii") as f:
        f.write("".join(c.keys for c in connections))
    keys = {c.pem: ["-o", 'uat:rsa_keys:"%s",""' % c.pem] for c in connections if c.pem}
    done = subprocess.run(["tshark", "-r", path, "-n", "-o", "tls.keylog_file:" + os.path.join(folder, "all.keys"),
                           *[o for pair in keys.values() for o in pair], "-Y", "http", "-T", "fields", "-e", "tcp.stream",
                           "-e", "http.request.method", "-e", "http.request.uri", "-e", "http.response.code"],
                          capture_output=True, text=True, check=True, timeout=SECONDS)
    for line in done.stdout.splitlines():
        stream, *said = line.split("\t")
        connections[int(stream)].theirs += [v for words in said for v in words.split(",") if v]


def said_by(tool, path, *options):
    """(what exchanges are made of, sorted as tshark's; the whole report with stderr)"""
    done = subprocess.run([tool, "-r", path, "-T", "json", "--exchanges", "-vv", *options], capture_output=True, text=True, timeout=SECONDS)
    words = []
    for x in json.loads(done.stdout)["exchanges"]:
        request, response = x["request"] or {}, x["response"] or {}
        words += [request.get("method"), request.get("target"), response.get("status") and str(response["status"])]
    text = subprocess.run([tool, "-r", path, "-vv", "--stats", *options], capture_output=True, text=True, timeout=SECONDS)
    return sorted(w for w in words if w), done.stdout + done.stderr + text.stdout + text.stderr


def check(tool, c, folder):
    path, ng, wrong = os.path.join(folder, "one.pcap"), os.path.join(folder, "one.pcapng"), []
    ways = [("keys in a file", path, c.whole(), c.options()), ("out of order", path, out_of_order(in_parts(c.whole(), 300)), c.options())]
    if not c.pem:
        ways.append(("secrets amid the packets", ng, None, []))
    for way, name, packets, options in ways:
        if packets is None:
            write_dsb_between(name, c)
        else:
            write_pcap(name, [(p, p.data) for p in packets])
        ours, report = said_by(tool, name, *options)
        if ours != c.inside() or not ours:
            wrong.append("%s: got %s, tshark %s" % (way, ours, c.inside()))
        wrong += ["%s: a secret is in the report" % way for secret in c.secrets() if secret.lower() in report.lower()]
    write_pcap(path, [(p, p.data) for p in c.packets])
    ours, report = said_by(tool, path)
    wrong += ["without keys: %s" % w for w in ours or [i for i in INSIDE if i in report]]
    return wrong


def connections_of(name, test, folder):
    os.mkdir(folder)
    subprocess.run([test, name], env=dict(os.environ, WHY502_TLS_DUMP=folder), check=False, stdout=subprocess.DEVNULL, timeout=SECONDS)
    found = [Connection(name, os.path.join(folder, n)) for n in sorted(os.listdir(folder)) if re.fullmatch(r"\d+\.pcap", n)]
    found = [c for c in found if len(c.packets) <= PACKETS_MAX and (c.keys or c.pem)]
    if name == RSA:                         # each second one resumes the first one's session
        for first, second in zip(found[::2], found[1::2]):
            second.before = first
    return found


def judged(connections):
    """But for those that another one has with it."""
    return [c for c in connections if c.test != RSA or c.before]


def main():
    tool, test = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    if shutil.which("tshark") is None or not os.path.exists(test):
        print("1..0 # SKIP tshark is not installed")
        return 0
    with tempfile.TemporaryDirectory(prefix="tls") as folder:
        found = [c for t in TESTS for c in connections_of(t, test, os.path.join(folder, t))]
        if not found:
            print("1..0 # SKIP built without libcrypto or libssl")
            return 0
        exchanges_of_tshark(found, folder)
        failed = False
        for n, c in enumerate(judged(found), 1):
            wrong = check(tool, c, folder)
            for line in wrong:
                print("#", line)
            print("%sok %d - %s %s: %d packets, %d words inside" % ("not " if wrong else "", n, c.test, c.name, len(c.whole()), len(c.inside())),
                  flush=True)
            failed |= bool(wrong)
    print("1..%d" % n)
    return failed and "HARNESS_ACTIVE" not in os.environ


if __name__ == "__main__":
    sys.exit(main())
