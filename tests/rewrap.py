#!/usr/bin/env python3
"""Rewrites an Ethernet capture into another link layer or tunnel, packet by packet.

    rewrap.py KIND IN OUT       IN: pcap or pcapng, Ethernet without tags; OUT: the same format
    rewrap.py --list            the kinds, one a line

Times, order, interfaces and other pcapng blocks stay. Packets keep their numbers, but for the kinds
`fragments` and `fragments-reversed`: there each packet n becomes two, and is whole with packet 2n (what
cannot be split is preceded by a datagram to the discard port). Ethernet's padding goes. What a link layer
cannot carry (ARP on a point-to-point link) becomes a datagram to the discard port; what a tunnel cannot
carry stays as it was. `ipv6`, `ipv6-extensions` and `6in4` translate IPv4 as RFC 7915 has it, addresses
to 64:ff9b::a.b.c.d, and ARP to neighbour discovery.
"""
import struct
import sys

ETHERNET, IPV4, IPV6, ARP = 1, 0x0800, 0x86dd, 0x0806


# ---- bytes ---------------------------------------------------------------------------------

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def ipv4_header(protocol, length, src=b"\xc6\x33\x64\x01", dst=b"\xc6\x33\x64\x02", ident=0, fragment=0, ttl=62, options=b""):
    """A header for `length` bytes; above 64 KiB the total length is 0, as offload has it."""
    total = 20 + len(options) + length
    head = struct.pack(">BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, total if total < 65536 else 0, ident, fragment, ttl,
                       protocol, 0, src, dst) + options
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:]


def ipv6_header(protocol, length, src, dst, ttl=62):
    return struct.pack(">IHBB16s16s", 6 << 28, length if length < 65536 else 0, protocol, ttl, src, dst)


def udp_header(sport, dport, length):
    return struct.pack(">HHHH", sport, dport, 8 + length if length < 65528 else 0, 0)


def discard(number):
    """A whole IPv4 datagram that is no business of anybody's."""
    body = udp_header(49152 + number % 16384, 9, 4) + struct.pack(">I", number & 0xffffffff)
    return ipv4_header(17, len(body)) + body


class Packet:
    """An Ethernet frame taken apart. `missing`: bytes that were on the wire and are not in the capture."""

    def __init__(self, frame, missing, number):
        self.number = number
        self.frame = frame
        self.addresses, self.type, self.body = frame[:12], struct.unpack(">H", frame[12:14])[0], frame[14:]
        self.missing = missing
        wire = len(self.body) + missing
        length = 0
        if self.type == IPV4 and len(self.body) >= 20:
            length = struct.unpack(">H", self.body[2:4])[0]
        elif self.type == IPV6 and len(self.body) >= 40:
            length = struct.unpack(">H", self.body[4:6])[0]
            length += 40 if length else 0
        self.is_ip = self.type in (IPV4, IPV6) and len(self.body) >= (20 if self.type == IPV4 else 40)
        if length and length <= wire:               # without padding
            self.body = self.body[:length]
            self.missing = length - len(self.body)
        self.wire = len(self.body) + self.missing


# ---- translation and fragments -------------------------------------------------------------

def mapped(address):
    return bytes.fromhex("0064ff9b") + bytes(8) + address


UNREACHABLE = {0: (1, 0), 1: (1, 0), 2: (4, 1), 3: (1, 4), 4: (2, 0), 9: (1, 1), 10: (1, 1), 13: (1, 1)}


def translate_icmp(body):
    """RFC 7915 4.2: an error with the datagram that it quotes; None: not translated."""
    kind, code, rest = body[0], body[1], body[4:8]
    if kind == 3 and code in UNREACHABLE:
        new = UNREACHABLE[code]
        rest = struct.pack(">I", struct.unpack(">I", rest)[0] & 0xffff) if code == 4 else bytes(4)
    elif kind == 11:
        new = (3, code)
    else:
        return None
    quoted = translate_ip(body[8:], 0)
    if quoted is None:
        return None
    return bytes(new) + b"\0\0" + rest + quoted[0]


def translate_ip(ip, missing):
    """IPv4 to IPv6: (bytes, missing), or None where there is no simple way."""
    if len(ip) < 20 or ip[0] >> 4 != 4:
        return None
    head_len = (ip[0] & 15) * 4
    body, protocol = ip[head_len:], ip[9]
    if struct.unpack(">H", ip[6:8])[0] & 0x3fff or len(body) < 8:
        return None
    total = struct.unpack(">H", ip[2:4])[0]
    length = total - head_len if total else len(body) + missing
    src, dst = mapped(ip[12:16]), mapped(ip[16:20])
    if protocol == 1:
        body = translate_icmp(body)
        if body is None:
            return None
        protocol, length, missing = 58, len(body), 0
    at = {6: 16, 17: 6, 58: 2}.get(protocol)
    if at is not None and len(body) >= at + 2 and missing == 0 and len(body) == length:
        pseudo = src + dst + struct.pack(">IxxxB", length, protocol)
        body = body[:at] + b"\0\0" + body[at + 2:]
        body = body[:at] + struct.pack(">H", checksum(pseudo + body) or 0xffff) + body[at + 2:]
    return ipv6_header(protocol, length, src, dst, ip[8]) + body, missing


def translate_arp(arp):
    """Neighbour discovery in ARP's place (RFC 4861 4.3, 4.4): a request asks the solicited-node group."""
    if len(arp) < 28:
        return None
    sender, target = mapped(arp[14:18]), mapped(arp[24:28])
    if arp[7] == 1:
        src, dst = sender, bytes.fromhex("ff0200000000000000000001ff") + target[13:]
        body = b"\x87\0\0\0" + bytes(4) + target + b"\1\1" + arp[8:14]
    else:
        src, dst = sender, target
        body = b"\x88\0\0\0" + b"\x60\0\0\0" + sender + b"\2\1" + arp[8:14]
    total = checksum(src + dst + struct.pack(">IxxxB", len(body), 58) + body)
    return ipv6_header(58, len(body), src, dst, 255) + body[:2] + struct.pack(">H", total) + body[4:]


def to_ipv6(p):
    if p.type == ARP:
        new = translate_arp(p.body)
        return None if new is None else (new, 0)
    if p.type == IPV6 and p.is_ip:
        return p.body, p.missing
    return translate_ip(p.body, p.missing) if p.type == IPV4 and p.is_ip else None


def split(p):
    """The two halves of an IP datagram, each (bytes, missing); None: it cannot be split."""
    if not p.is_ip:
        return None
    if p.type == IPV4:
        head_len = (p.body[0] & 15) * 4
        total, ident, flags = struct.unpack(">HHH", p.body[2:8])
        if not total or flags & 0x3fff or len(p.body) < head_len:
            return None
    else:
        head_len = 40
        if not struct.unpack(">H", p.body[4:6])[0] or p.body[6] in (0, 43, 44, 51, 60):
            return None
    body, wire = p.body[head_len:], p.wire - head_len
    cut = wire // 2 // 8 * 8
    if cut == 0:
        return None
    pieces = []
    for at, size, more in ((0, cut, 1), (cut, wire - cut, 0)):
        data = body[at:at + size]
        if p.type == IPV4:
            head = ipv4_header(p.body[9], size, p.body[12:16], p.body[16:20], ident, more << 13 | at // 8, p.body[8], p.body[20:head_len])
        else:
            head = p.body[:4] + struct.pack(">HB", size + 8, 44) + p.body[7:40]
            head += struct.pack(">BxHI", p.body[6], at | more, p.number & 0xffffffff)
        pieces.append((head + data, size - len(data)))
    return pieces


# ---- the kinds: each gives a list of (bytes, missing) ---------------------------------------

def ethernet(p, ethertype=None, body=None):
    return p.addresses + struct.pack(">H", p.type if ethertype is None else ethertype) + (p.body if body is None else body)


def linked(head):
    """A link layer that carries any ethertype: head(p) before the body."""
    return lambda p: [(head(p) + p.body, p.missing)]


def ip_only(head):
    """A link layer that carries IP alone: head(version)."""
    def wrap(p):
        if not p.is_ip:
            return [(head(IPV4) + discard(p.number), 0)]
        return [(head(p.type) + p.body, p.missing)]
    return wrap


def tunnel(outer):
    """Between the frame's own Ethernet header and its IP header: outer(p) -> (bytes, whether the frame itself is inside)."""
    def wrap(p):
        if not p.is_ip:
            return [(p.frame, 0)]
        head, whole = outer(p)
        inner = ethernet(p) if whole else p.body
        size = len(head) + len(inner) + p.missing
        return [(ethernet(p, IPV4, head_ip(head, size) + head[1:] + inner), p.missing)]
    return wrap


def head_ip(head, size):
    return ipv4_header(head[0], size - 1)


def gre(flags, rest, ethertype, whole):
    def outer(p):
        kind = ethertype or p.type
        return bytes([47]) + struct.pack(">HH", flags, kind) + rest(p), whole
    return tunnel(outer)


def over_udp(port, head, whole):
    def outer(p):
        inside = head(p)
        size = len(inside) + (14 if whole else 0) + p.wire
        return bytes([17]) + udp_header(49152 + p.number % 1000, port, size) + inside, whole
    return tunnel(outer)


def sequence(p):
    return struct.pack(">I", p.number & 0xffffffff)


def pppoe(p):
    if not p.is_ip:
        return [(p.frame, 0)]
    body = (b"\x00\x21" if p.type == IPV4 else b"\x00\x57") + p.body
    return [(ethernet(p, 0x8864, struct.pack(">BBHH", 0x11, 0, 7, len(body) + p.missing) + body), p.missing)]


def gtp(p):
    return struct.pack(">BBHI", 0x30, 0xff, min(p.wire, 65535), 5)


def l2tp(p):
    return struct.pack(">HHH", 2, 1, 1) + b"\xff\x03" + (b"\x00\x21" if p.type == IPV4 else b"\x00\x57")


def llc_snap(p):
    return b"\xaa\xaa\x03\0\0\0" + struct.pack(">H", p.type)


def mpls_ethernet(p):
    return [(ethernet(p, 0x8847, struct.pack(">II", 17 << 12 | 1 << 8 | 62, 0) + ethernet(p)), p.missing)]


def nflog(p):
    if not p.is_ip:
        return [(struct.pack("<BBH", 2, 0, 0) + struct.pack("<HH", 4 + len(discard(0)), 9) + discard(p.number), 0)]
    family = 2 if p.type == IPV4 else 10
    prefix = struct.pack("<BBH", family, 0, 0) + struct.pack("<HH4s", 8, 1, struct.pack(">HBB", p.type, 1, 0))
    return [(prefix + struct.pack("<HH", min(4 + p.wire, 65535), 9) + p.body, p.missing)]


def ipv6(p):
    new = to_ipv6(p)
    return [(p.frame, 0)] if new is None else [(ethernet(p, IPV6, new[0]), new[1])]


def sixin4(p):
    new = to_ipv6(p)
    if new is None:
        return [(p.frame, 0)]
    return [(ethernet(p, IPV4, ipv4_header(41, len(new[0]) + new[1]) + new[0]), new[1])]


def extension_headers(p):
    """IPv6 with hop-by-hop and destination options before its payload."""
    new = to_ipv6(p)
    if new is None or not struct.unpack(">H", new[0][4:6])[0]:
        return [(p.frame, 0)]
    body, missing = new
    size = struct.unpack(">H", body[4:6])[0] + 24
    options = b"\x3c\x00\x01\x04\0\0\0\0" + bytes([body[6]]) + b"\x01\x01\x0c" + bytes(12)
    return [(ethernet(p, IPV6, body[:4] + struct.pack(">HB", size, 0) + body[7:40] + options + body[40:]), missing)]


def fragments(backward):
    def wrap(p):
        pieces = split(p)
        if pieces is None:
            return [(ethernet(p, IPV4, discard(p.number)), 0), (p.frame, 0)]
        return [(ethernet(p, None, data), missing) for data, missing in (pieces[::-1] if backward else pieces)]
    return wrap


def null(order):
    return lambda kind: struct.pack(order + "I", 2 if kind == IPV4 else 30)


def ppp(prefix):
    return lambda kind: prefix + (b"\x00\x21" if kind == IPV4 else b"\x00\x57")


WLAN = b"\x88\x01\x00\x00" + bytes.fromhex("020000000001020000000002020000000003") + b"\x10\x00" + b"\x00\x00"

KINDS = {
    "vlan": (1, linked(lambda p: ethernet(p, 0x8100, struct.pack(">HH", 42, p.type)))),
    "qinq": (1, linked(lambda p: ethernet(p, 0x88a8, struct.pack(">HHHH", 7, 0x8100, 42, p.type)))),
    "llc": (1, linked(lambda p: ethernet(p, min(8 + p.wire, 1500), llc_snap(p)))),
    "sll": (113, linked(lambda p: struct.pack(">HHH", 0, 1, 6) + p.addresses[6:] + struct.pack(">HH", 0, p.type))),
    "sll2": (276, linked(lambda p: struct.pack(">HHIHBB", p.type, 0, 2, 1, 0, 6) + p.addresses[6:] + b"\0\0")),
    "raw": (101, ip_only(lambda kind: b"")),
    "raw-bsd": (12, ip_only(lambda kind: b"")),
    "null": (0, ip_only(null("<"))),
    "null-swapped": (0, ip_only(null(">"))),
    "loop": (108, ip_only(null(">"))),
    "ppp": (9, ip_only(ppp(b"\xff\x03"))),
    "ppp-compressed": (9, ip_only(lambda kind: b"\x21" if kind == IPV4 else b"\x57")),
    "ppp-hdlc": (50, ip_only(ppp(b"\xff\x03"))),
    "chdlc": (104, linked(lambda p: b"\x0f\x00" + struct.pack(">H", p.type))),
    "frame-relay": (107, ip_only(lambda kind: b"\x18\x41\x03" + (b"\xcc" if kind == IPV4 else b"\x8e"))),
    "pppoe": (1, pppoe),
    "nflog": (239, nflog),
    "wlan": (105, linked(lambda p: WLAN + llc_snap(p))),
    "radiotap": (127, linked(lambda p: struct.pack("<BBHIQB", 0, 0, 17, 3, p.number, 0) + WLAN + llc_snap(p))),
    "mpls": (1, lambda p: [(ethernet(p, 0x8847, struct.pack(">II", 16 << 12 | 63, 17 << 12 | 1 << 8 | 62) + p.body), p.missing)]
             if p.is_ip else [(p.frame, 0)]),
    "mpls-ethernet": (1, mpls_ethernet),
    "gre": (1, gre(0, lambda p: b"", 0, False)),
    "gre-checksum-key-sequence": (1, gre(0xb000, lambda p: b"\0\0\0\0\0\0\0\7" + sequence(p), 0, False)),
    "gre-ethernet": (1, gre(0, lambda p: b"", 0x6558, True)),
    "nvgre": (1, gre(0x2000, lambda p: b"\0\x10\x01\0", 0x6558, True)),
    "erspan1": (1, gre(0, lambda p: b"", 0x88be, True)),
    "erspan2": (1, gre(0x1000, lambda p: sequence(p) + b"\x10\x2a\x08\x01\0\0\0\1", 0x88be, True)),
    "erspan3": (1, gre(0x1000, lambda p: sequence(p) + b"\x20\x2a\x08\x01" + sequence(p) + b"\0\0\0\0", 0x22eb, True)),
    "erspan3-platform": (1, gre(0x1000, lambda p: sequence(p) + b"\x20\x2a\x08\x01" + sequence(p) + b"\0\0\0\1" + bytes(8), 0x22eb, True)),
    "vxlan": (1, over_udp(4789, lambda p: b"\x08\0\0\0\0\0\x2a\0", True)),
    "vxlan-8472": (1, over_udp(8472, lambda p: b"\x08\0\0\0\0\0\x2a\0", True)),
    "vxlan-gpe": (1, over_udp(4790, lambda p: b"\x0c\0\0" + (b"\1" if p.type == IPV4 else b"\2") + b"\0\0\x2a\0", False)),
    "geneve": (1, over_udp(6081, lambda p: b"\x02\0\x65\x58\0\0\x2a\0\x01\x02\x03\x01\0\0\0\0", True)),
    "geneve-ip": (1, over_udp(6081, lambda p: b"\0\0" + struct.pack(">H", p.type) + b"\0\0\x2a\0", False)),
    "gre-udp": (1, over_udp(4754, lambda p: struct.pack(">HH", 0, p.type), False)),
    "mpls-udp": (1, over_udp(6635, lambda p: struct.pack(">I", 16 << 12 | 1 << 8 | 62), False)),
    "gtp": (1, over_udp(2152, gtp, False)),
    "l2tp": (1, over_udp(1701, l2tp, False)),
    "ipip": (1, tunnel(lambda p: (bytes([4 if p.type == IPV4 else 41]), False))),
    "ipv6": (1, ipv6),
    "ipv6-extensions": (1, extension_headers),
    "6in4": (1, sixin4),
    "fragments": (1, fragments(False)),
    "fragments-reversed": (1, fragments(True)),
}


# ---- files ---------------------------------------------------------------------------------

class Bad(Exception):
    pass


def pcap(data, link_type, rewrap):
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}[data[:4]]
    if struct.unpack(order + "I", data[20:24])[0] & 0xffff != ETHERNET:
        raise Bad("not Ethernet")
    out = [data[:16], struct.pack(order + "II", 262144, link_type)]
    at, number = 24, 0
    while at + 16 <= len(data):
        seconds, fraction, kept, wire = struct.unpack(order + "IIII", data[at:at + 16])
        number += 1
        for new, missing in rewrap(data[at + 16:at + 16 + kept], wire - kept, number):
            out.append(struct.pack(order + "IIII", seconds, fraction, len(new), len(new) + missing) + new)
        at += 16 + kept
    return b"".join(out)


def pcapng(data, link_type, rewrap):
    out, at, number, order = [], 0, 0, "<"
    while at + 12 <= len(data):
        if data[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
        kind, size = struct.unpack(order + "II", data[at:at + 8])
        block = data[at:at + size]
        if len(block) < size or size < 12:
            raise Bad("cut")
        if kind == 1:
            if struct.unpack(order + "H", block[8:10])[0] != ETHERNET:
                raise Bad("not Ethernet")
            block = block[:8] + struct.pack(order + "H", link_type) + block[10:12] + bytes(4) + block[16:]
        if kind == 6:
            number += 1
            kept, wire = struct.unpack(order + "II", block[20:28])
            options = block[28 + (kept + 3) // 4 * 4:-4]
            for new, missing in rewrap(block[28:28 + kept], wire - kept, number):
                body = block[8:20] + struct.pack(order + "II", len(new), len(new) + missing) + new + bytes(-len(new) % 4) + options
                total = struct.pack(order + "I", 12 + len(body))
                out.append(struct.pack(order + "I", 6) + total + body + total)
        elif kind in (2, 3):
            raise Bad("holds packets in old blocks")
        else:
            out.append(block)
        at += size
    return b"".join(out)


def main(arguments):
    if arguments == ["--list"]:
        print("\n".join(KINDS))
        return 0
    if len(arguments) != 3 or arguments[0] not in KINDS:
        sys.stderr.write(__doc__)
        return 2
    link_type, wrap = KINDS[arguments[0]]

    def rewrap(frame, missing, number):
        if len(frame) < 14:
            raise Bad("packet %d is cut within its Ethernet header" % number)
        return [(new, missing if new is frame else lacks) for new, lacks in wrap(Packet(frame, missing, number))]

    with open(arguments[1], "rb") as f:
        data = f.read()
    try:
        new = (pcapng if data[:4] == b"\x0a\x0d\x0d\x0a" else pcap)(data, link_type, rewrap)
    except (Bad, KeyError, struct.error) as e:
        sys.stderr.write("rewrap.py: %s: %s\n" % (arguments[1], e))
        return 2
    with open(arguments[2], "wb") as f:
        f.write(new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
