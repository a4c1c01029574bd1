#!/usr/bin/env python3
"""Rewrites a capture as another way of tapping the same traffic would have it. Writes pcapng.

    retap.py double IN OUT      each packet again, 20 us later with a TTL one less, on a second interface
    retap.py TWINS IN OUT       connections seen at several points of their way, on an interface each, translated between them:
                                twin, snat, three      those that a gateway made: to a service address and then the server's
                                                       own; from the gateway's address and then another; both in turn
                                twin-front, snat-front those that a gateway accepted: to the address of a balancer and then
                                                       the gateway's; from the client's address and then a balancer's
                                twin-any, twin-joined  like twin: on one interface; without the packets that have SYN
    retap.py joined IN OUT      without the packets that have SYN: what twin-joined compares with
    retap.py split IN DIR       a file for each of two interfaces (what the gateway got and what it sent), and five in
                                a row: DIR/front.pcapng, DIR/back.pcapng, DIR/part1.pcapng ... part5.pcapng
    retap.py one IN OUT         as it is, on one interface: what the others compare with

IN: pcap or pcapng of one link type, Ethernet, Linux cooked, raw IP or loopback. A gateway's connection is one to a server
from an address that is itself a server of another (or, on one address alone, to a port that is not the first one used).
Numbers of packets change but with `split` and `one`.
"""
import os
import struct
import sys


class Bad(Exception):
    pass


# ---- reading: (link type, [(time in ns, bytes, length on the wire)]) -------------------------

def read_pcap(data):
    order, scale = {b"\xd4\xc3\xb2\xa1": ("<", 1000), b"\x4d\x3c\xb2\xa1": ("<", 1), b"\xa1\xb2\xc3\xd4": (">", 1000),
                    b"\xa1\xb2\x3c\x4d": (">", 1)}[data[:4]]
    link = struct.unpack(order + "I", data[20:24])[0] & 0xffff
    packets, at = [], 24
    while at + 16 <= len(data):
        seconds, fraction, kept, wire = struct.unpack(order + "IIII", data[at:at + 16])
        packets.append((seconds * 10**9 + fraction * scale, data[at + 16:at + 16 + kept], wire))
        at += 16 + kept
    return link, packets, []


def resolution(options, order):
    at = 0
    while at + 4 <= len(options):
        code, size = struct.unpack(order + "HH", options[at:at + 4])
        if code == 9:
            n = options[at + 4]
            return 10 ** (n & 127) if n < 128 else 2 ** (n & 127)
        at += 4 + (size + 3) // 4 * 4
    return 10**6


def read_pcapng(data):
    packets, links, units, secrets, at, order = [], [], [], [], 0, "<"
    while at + 12 <= len(data):
        if data[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            first = len(links)
        kind, size = struct.unpack(order + "II", data[at:at + 8])
        block = data[at:at + size]
        if len(block) < size or size < 12:
            raise Bad("cut")
        if kind == 1:
            links.append(struct.unpack(order + "H", block[8:10])[0])
            units.append(resolution(block[16:-4], order))
        elif kind == 6:
            interface, high, low, kept, wire = struct.unpack(order + "IIIII", block[8:28])
            packets.append(((high << 32 | low) * 10**9 // units[first + interface], block[28:28 + kept], wire))
        elif kind == 10 and order == "<":
            secrets.append(block)
        at += size
    if len(set(links)) > 1:
        raise Bad("several link types")
    return links[0] if links else 1, packets, secrets


def read(path):
    """In order of time: a file of several interfaces has each one's packets in a piece, which on one interface no capture has."""
    with open(path, "rb") as f:
        data = f.read()
    link, packets, secrets = read_pcapng(data) if data[:4] == b"\x0a\x0d\x0d\x0a" else read_pcap(data)
    return link, sorted(packets, key=lambda p: p[0]), secrets


# ---- writing -------------------------------------------------------------------------------

def block(kind, body):
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def write(path, link, packets, secrets, interfaces):
    """packets: (time, interface, bytes, length on the wire)"""
    out = [block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1))]
    for i in range(interfaces):
        name = b"tap%d" % i
        out.append(block(1, struct.pack("<HHI", link, 0, 0) + struct.pack("<HH", 2, len(name)) + name +
                         struct.pack("<HHBxxxI", 9, 1, 9, 0)))
    out += secrets
    for time, interface, data, wire in packets:
        out.append(block(6, struct.pack("<IIIII", interface, time >> 32, time & 0xffffffff, len(data), wire) + data))
    with open(path, "wb") as f:
        f.write(b"".join(out))


# ---- packets -------------------------------------------------------------------------------

def ip_at(link, data):
    """Where the IP header begins, or None."""
    if link == 1:
        at = 12
        while data[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
            at += 4
        return at + 2 if data[at:at + 2] in (b"\x08\x00", b"\x86\xdd") else None
    at = {0: 4, 108: 4, 113: 16, 276: 20, 101: 0, 12: 0}.get(link)
    return at if at is not None and len(data) > at and data[at] >> 4 in (4, 6) else None


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def with_ip(data, at, ttl_less, src=None, dst=None):
    """The packet with a lower TTL, and other addresses."""
    b = bytearray(data)
    if b[at] >> 4 == 6:
        b[at + 7] = max(b[at + 7] - ttl_less, 1)
        b[at + 8:at + 24] = src or b[at + 8:at + 24]
        b[at + 24:at + 40] = dst or b[at + 24:at + 40]
    else:
        b[at + 8] = max(b[at + 8] - ttl_less, 1)
        b[at + 12:at + 16] = src or b[at + 12:at + 16]
        b[at + 16:at + 20] = dst or b[at + 16:at + 20]
        b[at + 10:at + 12] = b"\0\0"
        b[at + 10:at + 12] = struct.pack(">H", checksum(bytes(b[at:at + (b[at] & 15) * 4])))
    return bytes(b)


def with_ends(data, at, ttl_less, src, dst):
    """A TCP segment between other ends, each (address, port)."""
    b = bytearray(with_ip(data, at, ttl_less, src[0], dst[0]))
    t = at + ((b[at] & 15) * 4 if b[at] >> 4 == 4 else 40)
    b[t:t + 4] = struct.pack(">HH", src[1], dst[1])
    return bytes(b)


def tcp_of(data, at):
    """(source, destination, flags) of a TCP segment, ends as (address, port); None: no TCP."""
    if at is None or len(data) < at + 20:
        return None
    if data[at] >> 4 == 4:
        t = at + (data[at] & 15) * 4
        src, dst, protocol = data[at + 12:at + 16], data[at + 16:at + 20], data[at + 9]
        if struct.unpack(">H", data[at + 6:at + 8])[0] & 0x1fff:
            return None
    else:
        t = at + 40
        src, dst, protocol = data[at + 8:at + 24], data[at + 24:at + 40], data[at + 6]
    if protocol != 6 or len(data) < t + 14:
        return None
    sport, dport = struct.unpack(">HH", data[t:t + 4])
    return (src, sport), (dst, dport), data[t + 13]


def quoted_at(data, at):
    """Where the datagram begins that an ICMP error quotes, or None."""
    if at is None or len(data) < at + 20:
        return None
    v4 = data[at] >> 4 == 4
    t = at + ((data[at] & 15) * 4 if v4 else 40)
    if len(data) < t + 8 + (20 if v4 else 40) + 14:
        return None
    if v4:
        return t + 8 if data[at + 9] == 1 and data[t] in (3, 11) else None
    return t + 8 if data[at + 6] == 58 and data[t] in (1, 2, 3) else None


def servers(link, packets):
    """The ends that connections were made to: (by clients, by gateways, which are clients that are servers themselves)."""
    asked = []
    for _, data, _ in packets:
        t = tcp_of(data, ip_at(link, data))
        if t is not None and t[2] & 0x12 == 2 and (t[0][0], t[1]) not in asked:
            asked.append((t[0][0], t[1]))
    serving = {server[0] for _, server in asked}
    one_host = all(client == server[0] for client, server in asked)
    if one_host:
        return {server for _, server in asked[:1]}, {server for _, server in asked[1:] if server != asked[0][1]}
    fronts = {server for client, server in asked if client not in serving}
    return fronts, {server for client, server in asked if client in serving and server not in fronts}


def elsewhere(end):
    """With an address that no capture of ours has: 198.18/15, or 2001:2::/48 (RFC 2544, RFC 5180)."""
    address, port = end
    if len(address) == 4:
        return b"\xc6\x12" + address[2:], port
    return bytes.fromhex("200100020000") + address[6:], port


def service(end):
    """Where it is asked for. A host that speaks to itself has no other address: it redirects from another port."""
    address, port = end
    return (address, port ^ 0x1000) if address[:1] == b"\x7f" or address == bytes(15) + b"\1" else elsewhere(end)


def same(end):
    return end


def double(link, packets):
    out = []
    for time, data, wire in packets:
        at = ip_at(link, data)
        out.append((time, 0, data, wire))
        out.append((time + 20000, 1, data if at is None else with_ip(data, at, 1), wire))
    return sorted(out, key=lambda p: p[0])


# Which connections (0: a gateway accepted them, 1: it made them), and at each point, from the client's to the server's, what
# addresses its client and server have there. The last point is where the capture was made.
TWINS = {
    "twin": (1, (same, service), (same, same)),
    "snat": (1, (same, same), (elsewhere, same)),
    "three": (1, (same, service), (same, same), (elsewhere, same)),
    "twin-front": (0, (same, service), (same, same)),
    "snat-front": (0, (same, same), (elsewhere, same)),
}
APART_NS = 1000                         # a host answers within 5 us: more would have it answer before it was asked


def with_twins(link, packets, side, *points):
    """Each packet at each point of its way, at other times where it came or went further."""
    ends, out, last = servers(link, packets)[side], [], len(points) - 1
    for time, data, wire in packets:
        at = ip_at(link, data)
        t = tcp_of(data, at)
        quoted = quoted_at(data, at)
        q = tcp_of(data, quoted)
        if q is not None and q[1] in ends:
            # To the client, about what it sent: translation changes what is quoted as well (RFC 5508, 4.2)
            for point, (client, server) in enumerate(points):
                there = with_ends(data, quoted, 0, client(q[0]), server(q[1]))
                there = with_ip(there, at, last - point, None, client(q[0])[0])
                out.append((time + (last - point) * APART_NS, point, there, wire))
            continue
        if t is None or (t[0] not in ends and t[1] not in ends):
            out.append((time, last, data, wire))
            continue
        to_server = t[1] in ends
        for point, (client, server) in enumerate(points):
            away = (last - point) * APART_NS
            if to_server:
                there = with_ends(data, at, point, client(t[0]), server(t[1]))
            else:
                there = with_ends(data, at, last - point, server(t[0]), client(t[1]))
            out.append((time - away if to_server else time + away, point, there, wire))
    return sorted(out, key=lambda p: p[0])


def joined(link, packets):
    """As if it began later."""
    return [p for p in packets if (tcp_of(p[1], ip_at(link, p[1])) or (0, 0, 0))[2] & 2 == 0]


def twins(link, packets, kind):
    side, *points = TWINS[kind]
    return with_twins(link, packets, side, *points)


def twin_any(link, packets):
    return [(time, 0, data, wire) for time, _, data, wire in twins(link, packets, "twin")]


def twin_joined(link, packets):
    return [p for p in twins(link, packets, "twin") if (tcp_of(p[2], ip_at(link, p[2])) or (0, 0, 0))[2] & 2 == 0]


def one(link, packets):
    return [(time, 0, data, wire) for time, data, wire in packets]


def split(link, packets, secrets, folder):
    upstreams = servers(link, packets)[1]
    sides = ([], [])
    for time, data, wire in packets:
        t = tcp_of(data, ip_at(link, data))
        sides[t is not None and (t[0] in upstreams or t[1] in upstreams)].append((time, 0, data, wire))
    for name, side in zip(("front", "back"), sides):
        write(os.path.join(folder, name + ".pcapng"), link, side, secrets, 1)
    for i in range(5):
        part = packets[len(packets) * i // 5:len(packets) * (i + 1) // 5]
        write(os.path.join(folder, "part%d.pcapng" % (i + 1)), link, [(t, 0, d, w) for t, d, w in part], secrets, 1)


FORMS = {
    "double": double,
    "one": one,
    "joined": lambda link, packets: one(link, joined(link, packets)),
    "twin-any": twin_any,
    "twin-joined": twin_joined,
    **{kind: lambda link, packets, kind=kind: twins(link, packets, kind) for kind in TWINS},
}


def main(arguments):
    if len(arguments) != 3 or arguments[0] not in (*FORMS, "split"):
        sys.stderr.write(__doc__)
        return 2
    what, source, target = arguments
    try:
        link, packets, secrets = read(source)
    except (Bad, KeyError, IndexError, struct.error) as e:
        sys.stderr.write("retap.py: %s: %r\n" % (source, e))
        return 2
    if what == "split":
        split(link, packets, secrets, target)
    else:
        out = FORMS[what](link, packets)
        write(target, link, out, secrets, max((interface for _, interface, _, _ in out), default=0) + 1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
