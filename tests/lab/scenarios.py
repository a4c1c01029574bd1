"""What can go wrong, one row each: the upstream's behaviour, what the client asks and when, and what the packets then show."""
from dataclasses import dataclass, field

import net


@dataclass
class Ask:
    target: str
    method: str = "GET"
    after_s: float = 0.2            # from the end of the one before


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
    story: str = ""                 # for README


SCENARIOS = {
    "connection-refused": Scenario("connection-refused", behaviour="", asks=[Ask("/fails")], decisive="upstream RST",
        story="Nothing listens on the upstream's port: the gateway's SYN is answered by RST,ACK."),
    "connect-timeout": Scenario("connect-timeout", behaviour="", asks=[Ask("/fails")], upstream=net.BLACKHOLE + ":8080",
        connect_s=2.5, decisive="gateway SYN", story="The upstream's address is routed into a black hole: no SYN is ever answered."),
    "host-unreachable": Scenario("host-unreachable", behaviour="", asks=[Ask("/fails")], upstream=net.UNREACHABLE + ":8080",
        decisive="ICMP", story="A router on the way answers the gateway's SYN with ICMP host unreachable."),
    "admin-prohibited": Scenario("host-unreachable", behaviour="", asks=[Ask("/fails")], upstream=net.PROHIBITED + ":8080",
        decisive="ICMP", story="A firewall on the way answers the gateway's SYN with ICMP administratively prohibited."),
    "arp-unanswered": Scenario("host-unreachable", behaviour="", asks=[Ask("/fails")], upstream=net.NOBODY + ":8080",
        decisive="ARP", connect_s=5, reported_upstream=net.NOBODY,
        story="No host has the upstream's address: the gateway's ARP questions are never answered."),
    "keepalive-race": Scenario("keepalive-race", behaviour="idle_limit=1.0", delay_s=0.03,
        asks=[Ask("/first"), Ask("/fails", "POST", 0.955)], decisive="upstream FIN",
        story="The upstream closes connections that were idle for 1 s. The second request leaves the gateway while the FIN is on its "
              "way (30 ms each way), on the connection that the first one used."),
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
    "healthy": Scenario("", asks=[Ask("/ok"), Ask("/ok?2", "POST"), Ask("/ok?3", after_s=1.2), Ask("/ok?4")],
        story="Nothing is wrong."),
    "healthy-idle-close": Scenario("", behaviour="idle_limit=0.5", asks=[Ask("/one"), Ask("/two", after_s=1.5)],
        story="The upstream closes the idle connection long before the next request, for which the gateway opens another."),
}
