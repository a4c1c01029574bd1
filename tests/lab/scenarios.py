"""What can go wrong, one row each: the upstream's behaviour, what the client asks and when, and what the packets then show."""
from dataclasses import asdict, dataclass, field

import gateways
import net


@dataclass
class Ask:
    target: str
    method: str = "GET"
    after_s: float = 0.2            # from the end of the one before
    body_bytes: int = 5             # of a POST
    fresh: bool = False             # on a connection of its own
    abort_s: float = 0.0            # closes so long after the request, without having read an answer


@dataclass
class Scenario:
    cause: str                      # of the last request; "" where nothing is wrong
    behaviour: str = "ok"           # of upstream.py; "" for nobody listening
    asks: list = field(default_factory=lambda: [Ask("/ok"), Ask("/fails")])
    upstream: str = net.UPSTREAM + ":8080"
    decisive: str = ""              # which packet shows it: see captured.py
    delay_s: float = 0.0            # one way, to the upstream
    connect_s: float = 1.0          # the gateway's limits
    read_s: float = 2.0
    settle_s: float = 0.4           # capture goes on after the last answer
    drop: object = None             # of net.Wire
    reported_upstream: str = None   # where it differs from `upstream`
    scheme: str = "http"            # what the gateway speaks: gateways.Route
    not_with: tuple = ()            # gateways
    only_with: tuple = ()
    verify: bool = False            # gateways.Route
    named: bool = False
    leave_out: bool = False         # the gateway stops trying an upstream that failed
    story: str = ""                 # for README

    @property
    def shows_request(self):
        """Its tries carry a request that a capture shows, without keys."""
        return self.behaviour.startswith("h2_") or (self.behaviour != "" and self.scheme == "http")

    def route(self, path, upstreams):
        return gateways.Route(path, upstreams, self.scheme, self.connect_s, self.read_s, self.leave_out, self.verify, self.named)

    def script(self, prefix, fresh=False):
        """Its requests, for client.py."""
        return [dict(asdict(a), target=prefix + a.target, fresh=a.fresh or fresh) for a in self.asks]


def https(cause, behaviour, story, verify=True, named=True, asks=("/fails",), decisive="upstream data"):
    """Only with those gateways whose settings for it the lab knows."""
    return Scenario(cause, behaviour, [Ask(a) for a in asks], scheme="https", verify=verify, named=named, story=story, decisive=decisive,
                    only_with=("nginx", "haproxy"))


SCENARIOS = {
    "connection-refused": Scenario("connection-refused", behaviour="", asks=[Ask("/fails")], decisive="upstream RST",
        story="Nothing listens on the upstream's port: the gateway's SYN is answered by RST,ACK."),
    "connect-timeout": Scenario("connect-timeout", behaviour="", asks=[Ask("/fails")], upstream=net.BLACKHOLE + ":8080",
        connect_s=1.5, decisive="gateway SYN", story="The upstream's address is routed into a black hole: no SYN is ever answered."),
    "host-unreachable": Scenario("host-unreachable", behaviour="", asks=[Ask("/fails")], upstream=net.UNREACHABLE + ":8080",
        decisive="ICMP", story="A router on the way answers the gateway's SYN with ICMP host unreachable."),
    "admin-prohibited": Scenario("host-unreachable", behaviour="", asks=[Ask("/fails", after_s=1.3)], upstream=net.PROHIBITED + ":8080",
        decisive="ICMP",                     # the kernel says so once a second: ip_error()
        story="A firewall on the way answers the gateway's SYN with ICMP administratively prohibited."),
    "arp-unanswered": Scenario("host-unreachable", behaviour="", asks=[Ask("/fails")], upstream=net.NOBODY + ":8080",
        decisive="ARP", connect_s=5, reported_upstream=net.NOBODY,
        story="No host has the upstream's address: the gateway's ARP questions are never answered."),
    "keepalive-race": Scenario("keepalive-race", behaviour="idle_limit=1.0", delay_s=0.15,
        asks=[Ask("/first"), Ask("/fails", "POST", 0.85)], decisive="upstream FIN",
        story="The upstream closes connections that were idle for 1 s. The second request leaves the gateway while the FIN is on its "
              "way (150 ms each way), on the connection that the first one used."),
    "closed-before-response": Scenario("closed-before-response", behaviour="close", decisive="upstream FIN",
        story="The upstream acknowledges the request and closes without a byte of a response."),
    "reset-before-response": Scenario("reset-before-response", behaviour="reset", decisive="upstream RST",
        story="The upstream takes the request and resets the connection without a byte of a response."),
    "closed-mid-headers": Scenario("closed-mid-headers", behaviour="mid_headers_close", decisive="upstream FIN",
        story="The upstream sends half a header section, then FIN."),
    "reset-mid-headers": Scenario("closed-mid-headers", behaviour="mid_headers_reset", decisive="upstream RST",
        story="The upstream sends half a header section, then RST."),
    "closed-mid-body": Scenario("closed-mid-body", behaviour="mid_body_close", decisive="upstream FIN",
        story="The upstream promises 1000 bytes, sends 100, then FIN. The client gets a status of 200 and a cut body."),
    "reset-mid-body": Scenario("closed-mid-body", behaviour="mid_body_reset", decisive="upstream RST",
        story="The upstream promises 1000 bytes, sends 100, then RST."),
    "closed-mid-chunk": Scenario("closed-mid-body", behaviour="mid_chunk_close", decisive="upstream FIN",
        story="The upstream closes within a chunk."),
    "header-too-large": Scenario("header-too-large", behaviour="header=20000", decisive="upstream data",
        story="The upstream's header section has 20 kB: more than the gateway takes."),
    "response-timeout": Scenario("response-timeout", behaviour="silence", decisive="gateway close", settle_s=0.6,
        story="The upstream acknowledges the request and says nothing; the gateway gives up at its own limit of 2 s."),
    "stalled-mid-response": Scenario("stalled-mid-response", behaviour="stall_mid_body", decisive="gateway close", settle_s=0.6,
        story="The upstream sends 100 of 1000 bytes and then nothing; the gateway gives up at its own limit of 2 s."),
    "upstream-error": Scenario("upstream-error", behaviour="status=503", decisive="upstream data",
        story="The upstream itself answers 503, and the gateway passes it on."),
    "no-upstream-attempt": Scenario("no-upstream-attempt", behaviour="", asks=[Ask("/first"), Ask("/fails")], leave_out=True,
        decisive="client data", story="Every upstream refused the request before: the gateway leaves them out and answers by itself."),
    "closed-during-request": Scenario("closed-during-request", behaviour="reset_in_request", decisive="upstream RST",
        asks=[Ask("/fails", "POST", body_bytes=600000)], story="The upstream resets while the request's body is still on its way."),
    "invalid-status-line": Scenario("invalid-status-line", behaviour=r"raw=OKAY 200 all good\r\nContent-Length: 2\r\n\r\nok",
        decisive="upstream data", story="The response's first line is no status line."),
    "invalid-header": Scenario("invalid-header", behaviour=r"says=HTTP/1.1 200 OK\r\nThis line has no colon\r\nContent-Length: 2\r\n\r\nok",
        decisive="upstream data", story="A line of the response's header section has no colon."),
    "header-nul": Scenario("invalid-header", behaviour=r"says=HTTP/1.1 200 OK\r\nX-Note: a\0b\r\nContent-Length: 2\r\n\r\nok",
        decisive="upstream data", story="A field of the response's header section has a NUL byte."),
    "header-200k": Scenario("header-too-large", behaviour="header=200000", decisive="upstream data",
        story="The upstream's header section has 200 kB, in one field: more than most gateways take."),
    "conflicting-framing": Scenario("conflicting-framing", decisive="upstream data",
        behaviour=r"says=HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nok", story="Two lengths, which differ."),
    "length-and-chunked": Scenario("conflicting-framing", decisive="upstream data",
        behaviour=r"says=HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        story="A length, and chunks too."),
    "invalid-chunk": Scenario("invalid-chunk", decisive="upstream data",
        behaviour=r"says=HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nok\r\n0\r\n\r\n", story="A chunk's size is no number."),
    "unsolicited-response": Scenario("unsolicited-response", decisive="upstream data",
        behaviour=r"says=HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nextra",
        story="A second response follows the one that was asked for."),
    "not-http": Scenario("not-http", behaviour=r"raw=SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", asks=[Ask("/fails")], decisive="upstream data",
        story="The upstream's port belongs to an SSH server."),
    "http1-to-http2-port": Scenario("http1-to-http2-port", asks=[Ask("/fails")], decisive="upstream data",
        behaviour=r"raw=\0\0\0\4\0\0\0\0\0\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\x01",
        story="The upstream speaks HTTP/2 alone: SETTINGS and GOAWAY answer an HTTP/1 request."),
    "http2-to-http1-port": Scenario("http2-to-http1-port", behaviour="bad_request", scheme="h2c", asks=[Ask("/fails")],
        decisive="upstream data", story="The gateway speaks HTTP/2 to an upstream that speaks HTTP/1 alone: a 400 answers the preface."),
    "plaintext-to-tls-port": Scenario("plaintext-to-tls-port", behaviour=r"raw=\x15\3\3\0\2\2\x46", asks=[Ask("/fails")], decisive="upstream data",
        story="The upstream expects TLS: an alert answers the plaintext request."),
    "tls-to-plaintext-port": Scenario("tls-to-plaintext-port", behaviour="bad_request", scheme="https", asks=[Ask("/fails")],
        decisive="upstream data", story="The gateway speaks TLS to an upstream that speaks plaintext: a 400 answers the ClientHello."),
    "stalled-mid-headers": Scenario("stalled-mid-response", behaviour="stall_mid_headers", decisive="gateway close", settle_s=0.6,
        story="The upstream sends half a header section and then nothing; the gateway gives up at its own limit of 2 s."),
    "client-aborted": Scenario("client-aborted", behaviour="silence", asks=[Ask("/ok"), Ask("/fails", abort_s=0.7)], settle_s=0.6,
        decisive="gateway close", story="The client closes while the upstream still works on its request."),
    "tls-healthy": https("", "tls_good", "Nothing is wrong inside TLS.", asks=("/ok", "/ok?2")),
    "tls12-healthy": https("", "tls_good12", "Nothing is wrong inside TLS 1.2.", asks=("/ok", "/ok?2")),
    "tls-expired": https("tls-certificate-rejected", "tls_expired", "The upstream's certificate ended years ago."),
    "tls12-expired": https("tls-certificate-rejected", "tls_expired12", "The upstream's certificate ended years ago; TLS 1.2."),
    "tls-other-name": https("tls-certificate-rejected", "tls_othername", "The upstream's certificate is for another name."),
    "tls-no-version": https("tls-handshake-rejected", "tls_old", "The upstream speaks TLS 1.1 at most, which the gateway does not."),
    "tls-no-name": https("tls-handshake-rejected", "tls_named", "The upstream wants to know which name is meant; the gateway sends none.", named=False),
    "tls-client-certificate": https("tls-handshake-rejected", "tls_mutual", "The upstream wants a certificate of the gateway, which has none."),
    "tls12-client-certificate": https("tls-handshake-rejected", "tls_mutual12", "The same, TLS 1.2."),
    "tls-closed": https("tls-handshake-aborted", "tls_closes", "The upstream closes when the ClientHello has come."),
    "tls-silence": https("tls-handshake-timeout", "tls_silent", "The upstream says nothing to the ClientHello."),
    "tls-upstream-error": https("upstream-error", "tls_good=status=503", "Inside TLS the upstream answers 503.", asks=("/ok", "/fails")),
    "tls-closed-before-response": https("closed-before-response", "tls_good12=close", "Inside TLS 1.2 the upstream closes without an answer.",
        asks=("/ok", "/fails"), decisive="upstream FIN"),
    "tls-response-timeout": https("response-timeout", "tls_good=silence", "Inside TLS the upstream says nothing to the request.",
        asks=("/ok", "/fails"), decisive="gateway close"),
    "h2-healthy": Scenario("", behaviour="h2_ok", scheme="h2c", asks=[Ask("/ok"), Ask("/ok?2", "POST"), Ask("/ok?3"), Ask("/ok?4")],
        story="Nothing is wrong: the gateway speaks HTTP/2 to its upstream."),
    "h2-goaway": Scenario("http2-goaway", behaviour="h2_goaway=0", scheme="h2c", asks=[Ask("/ok"), Ask("/fails", "POST")],
        decisive="upstream GOAWAY", story="A GOAWAY by itself leaves out the stream that has just come."),
    "h2-goaway-calm": Scenario("http2-goaway", behaviour="h2_goaway=11", scheme="h2c", asks=[Ask("/ok"), Ask("/fails", "POST")],
        decisive="upstream GOAWAY", story="A GOAWAY with ENHANCE_YOUR_CALM, too_many_pings, leaves out the stream that has just come."),
    "h2-goaway-pair": Scenario("http2-goaway", behaviour="h2_goaway_pair", scheme="h2c", asks=[Ask("/ok"), Ask("/fails", "POST")],
        decisive="upstream GOAWAY", story="A graceful GOAWAY is followed by a second one that leaves out the stream that has just come."),
    "h2-refused": Scenario("http2-stream-reset", behaviour="h2_reset=7", scheme="h2c", asks=[Ask("/ok"), Ask("/fails", "POST")],
        decisive="upstream RST_STREAM", story="The upstream resets the stream with REFUSED_STREAM."),
    "h2-internal-error": Scenario("http2-stream-reset", behaviour="h2_reset=2", scheme="h2c", asks=[Ask("/ok"), Ask("/fails")],
        decisive="upstream RST_STREAM", story="The upstream resets the stream with INTERNAL_ERROR."),
    "h2-calm": Scenario("http2-stream-reset", behaviour="h2_reset=11", scheme="h2c", asks=[Ask("/ok"), Ask("/fails")],
        decisive="upstream RST_STREAM", story="The upstream resets the stream with ENHANCE_YOUR_CALM."),
    "h2-reset-mid-body": Scenario("http2-stream-reset", behaviour="h2_reset_mid_body=2", scheme="h2c", decisive="upstream RST_STREAM",
        not_with=("apache",),           # lets its client wait 5 s for the rest, and live nobody remembers the try for so long
        story="The upstream resets the stream with INTERNAL_ERROR, 100 of 1000 bytes into the body."),
    "h2-bad-frame": Scenario("http2-protocol-error", behaviour="h2_bad_frame", scheme="h2c", decisive="upstream last",
        story="The upstream sends DATA on stream 0."),
    "h2-frame-size": Scenario("http2-protocol-error", behaviour="h2_frame_size", scheme="h2c",
        story="The upstream sends a DATA frame of 70,000 bytes, which nobody allowed."),
    "h2-bad-hpack": Scenario("http2-protocol-error", behaviour="h2_bad_hpack", scheme="h2c", decisive="upstream last",
        story="The response's header block has an index that stands for nothing."),
    "h2-length-wrong": Scenario("http2-protocol-error", behaviour="h2_length_wrong", scheme="h2c", decisive="upstream last",
        not_with=("haproxy", "apache"),         # the one passes it on, the other does not answer 503 as to all else that breaks HTTP/2
        story="The response ends without a body, though its content-length promises 10 bytes."),
    "h2-silence": Scenario("response-timeout", behaviour="h2_silence", scheme="h2c", decisive="gateway answer", settle_s=0.6,
        story="The upstream acknowledges the request and says nothing; the gateway gives up at its own limit of 2 s."),
    "h2-stalled": Scenario("stalled-mid-response", behaviour="h2_stall", scheme="h2c", decisive="gateway answer", settle_s=0.6,
        story="The upstream sends 100 of 1000 bytes and then nothing; the gateway gives up at its own limit of 2 s."),
    "h2-closed": Scenario("closed-before-response", behaviour="h2_close", scheme="h2c", decisive="upstream FIN",
        story="The upstream acknowledges the request and closes without a byte of a response, and without GOAWAY."),
    "h2-upstream-error": Scenario("upstream-error", behaviour="h2_error=503", scheme="h2c", decisive="upstream last",
        story="The upstream itself answers 503, and the gateway passes it on."),
    "healthy": Scenario("", asks=[Ask("/ok"), Ask("/ok?2", "POST"), Ask("/ok?3", after_s=1.2), Ask("/ok?4")],
        story="Nothing is wrong."),
    "healthy-idle-close": Scenario("", behaviour="idle_limit=0.5", asks=[Ask("/one"), Ask("/two", after_s=1.5)],
        story="The upstream closes the idle connection long before the next request, for which the gateway opens another."),
}
