"""storm.py - captures of gateway errors, made packet by packet: as many as wanted, with what a stranger may have sent

    storm.write("x.pcap", [storm.Failure(target=b"/a<b>", upstream=7)] * 3)

Each is a refused upstream: GET from a client, the gateway's SYN, RST, and a 502. Or, `died`, an upstream that closes while it
owes an answer.
"""
import struct

CLIENT, GATEWAY, UPSTREAM = bytes([10, 9, 0, 0]), bytes([10, 0, 0, 1]), bytes([10, 0, 1, 0])
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
SECRETS = (b"Authorization: Bearer s3cret-bearer\r\nCookie: sid=s3cret-cookie\r\nX-Api-Key: s3cret-header\r\n")


class Failure:
    def __init__(self, target=b"/x", host=b"shop.example", method=b"GET", fields=b"", upstream=7, died=False, answer=b"Bad Gateway"):
        self.target, self.host, self.method, self.fields = target, host, method, fields
        self.upstream, self.died, self.answer = upstream, died, answer

    def head(self):
        return b"%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (self.method, self.target, self.host, self.fields)


def checksum(data):
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


def segment(src, sport, dst, dport, flags, seq, ack, data=b""):
    """An IPv4 packet; the TCP checksum is 0, as where an interface computes it."""
    options = b"\x02\x04\x05\xb4" if flags & SYN else b""
    tcp = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, (20 + len(options)) // 4 << 4, flags, 64240, 0, 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp) + len(options) + len(data), 0, 0x4000, 64, 6, 0) + src + dst
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + tcp + options + data


def two_way(client, cport, server, sport):
    return (lambda flags, seq, ack, data=b"": segment(client, cport, server, sport, flags, seq, ack, data),
            lambda flags, seq, ack, data=b"": segment(server, sport, client, cport, flags, seq, ack, data))


def failure(f, n):
    """(ms since it began, packet) ... of one failure."""
    client = CLIENT[:2] + bytes([n >> 15 & 255, 1 + (n >> 8 & 127)])
    upstream = UPSTREAM[:3] + bytes([f.upstream])
    ask, answer = two_way(client, 20000 + n % 40000, GATEWAY, 80)
    try_, say = two_way(GATEWAY, 20000 + n % 40000, upstream, 8080)
    head = f.head()
    page = b"HTTP/1.1 502 %s\r\nServer: nginx/1.22.1\r\nContent-Length: 3\r\n\r\nno\n" % f.answer
    a, b, c, d = 100 + 77777 * n, 500 + 99991 * n, 900 + 55555 * n, 700 + 33333 * n         # no two connections alike
    t = 0.0
    yield 0.0, ask(SYN, a, 0)
    yield 0.1, answer(SYN | ACK, b, a + 1)
    yield 0.2, ask(ACK, a + 1, b + 1)
    for at in range(0, len(head), 1400):
        t = 0.3 + at / 14000
        yield t, ask(PSH | ACK, a + 1 + at, b + 1, head[at:at + 1400])
    end, owed = a + 1 + len(head), c + 1 + len(head)
    yield t + 0.1, answer(ACK, b + 1, end)
    yield t + 0.2, try_(SYN, c, 0)
    if f.died:
        yield t + 0.3, say(SYN | ACK, d, c + 1)
        yield t + 0.4, try_(ACK, c + 1, d + 1)
        for at in range(0, len(head), 1400):
            yield t + 0.5 + at / 14000, try_(PSH | ACK, c + 1 + at, d + 1, head[at:at + 1400])
        t += 0.5 + len(head) / 14000
        yield t + 0.1, say(ACK, d + 1, owed)
        yield t + 20.2, say(FIN | ACK, d + 1, owed)
        yield t + 20.3, try_(FIN | ACK, owed, d + 2)
        t += 20.2
    else:
        yield t + 0.3, say(RST | ACK, 0, c + 1)
    yield t + 0.5, answer(PSH | ACK, b + 1, end, page)
    yield t + 0.6, ask(ACK, end, b + 1 + len(page))


def write(path, failures, gap_ms=40.0, began=1769860800):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101))
        for n, f in enumerate(failures):
            for ms, packet in failure(f, n):
                us = int((n * gap_ms + ms) * 1000)
                out.write(struct.pack("<IIII", began + us // 1000000, us % 1000000, len(packet), len(packet)) + packet)


# What strangers put where a report shows it.
HOSTILE_TARGETS = [
    b"/<script>alert(1)</script>", b"/\"><img/src=x/onerror=alert(1)>", b"/'onmouseover='alert(1)", b"/</script><script>alert(2)</script>",
    b"/<!--", b"/]]>", b"/&lt;b&gt;", b"/[click](http://evil.example/)", b"/![x](http://evil.example/x.png)", b"/`code`", b"/``````",
    b"/|a|b|", b"/@everyone", b"http://evil.example/", b"javascript:alert(1)", b"=cmd|'/c%20calc'!A1", b"+1+1", b"-1+1", b"@SUM(A1)",
    b"/a,b,\"c\"", b"/\xff\xfe", b"/\xe2\x80\xaeevil", b"/\x1b[2J", b"/\xc2\x85", b"/{{7*7}}", b"/%s%n%x", b"/\\", b"/$(reboot)",
    b"/" + b"A" * 7000, b"/#123", b"/*bold*", b"/_x_", b"/?token=s3cret-query&x=1", b"/a;jsessionid=s3cret-param",
    b"http://me:s3cret-user@h.example/", b"/</textarea></title></style>", b"/\xf0\x9f\x92\xa9", b"/<svg/onload=alert(1)>",
]


def hostile():
    all_ = [Failure(target=t, upstream=1 + n, fields=SECRETS) for n, t in enumerate(HOSTILE_TARGETS)]
    all_ += [Failure(host=t.replace(b"/", b"")[:60] or b"h", upstream=60 + n, died=True, fields=SECRETS) for n, t in enumerate(HOSTILE_TARGETS[:20])]
    all_ += [Failure(method=b"GE<T>", upstream=90), Failure(answer=b"<b>&Bad", upstream=91)]
    return all_


def mixed():
    """Some kinds, over twenty seconds, one of them a burst."""
    return [Failure(target=b"/cart/%d" % n, upstream=7 + (n % 5 == 0), died=n % 3 == 0) for n in range(60)] + \
           [Failure(target=b"/pay", upstream=9, died=True)] * 5


def main(folder):
    write(folder + "/hostile.pcap", hostile())
    write(folder + "/mixed.pcap", mixed(), gap_ms=300)
    write(folder + "/none.pcap", [])


if __name__ == "__main__":
    import sys
    main(sys.argv[1])
