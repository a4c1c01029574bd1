#!/usr/bin/env python3
"""live_net.py WHY502: sniffing on two interfaces of a network namespace of its own: one goes away, a flood, a buffer too small. Prints TAP."""
import ctypes
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from tap import Tap

RATE, SECONDS = 50000, 3
INSIDE = "WHY502_INSIDE"


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# ---- traffic -------------------------------------------------------------------------------

def segment(src, sport, dst, dport, flags, seq, ack, data=b""):
    tcp = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 65000, 0, 0) + data
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, socket.inet_aton(src), socket.inet_aton(dst))
    return bytes(12) + b"\x08\x00" + ip + tcp


SYN, ACK, PSH, FIN, RST = 2, 16, 8, 1, 4


def exchange(client, cport, server, sport, request, response):
    """A connection with one exchange; without a response the server resets it."""
    def to_server(flags, seq, ack, data=b""):
        return segment(client, cport, server, sport, flags, seq, ack, data)

    def to_client(flags, seq, ack, data=b""):
        return segment(server, sport, client, cport, flags, seq, ack, data)

    x, y = cport * 65537 + sport, cport * 65539 + sport * 3      # initial sequence numbers: no two alike
    a, b = x + 1 + len(request), y + 1 + len(response)
    start = [to_server(SYN, x, 0), to_client(SYN | ACK, y, x + 1), to_server(ACK, x + 1, y + 1), to_server(PSH | ACK, x + 1, y + 1, request)]
    if not response:
        return start, [to_client(RST | ACK, y + 1, a)]
    return start, [to_client(PSH | ACK, y + 1, a, response), to_server(FIN | ACK, a, b), to_client(FIN | ACK, b, a + 1), to_server(ACK, a + 1, b + 1)]


def failure(port):
    """A gateway 10.0.0.1 whose upstream resets: its client gets 502."""
    get = b"GET /fails HTTP/1.1\r\nHost: shop.example\r\n\r\n"
    bad = b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx/1.22.1\r\nContent-Length: 0\r\n\r\n"
    front, answer = exchange("10.0.0.9", port, "10.0.0.1", 80, get, bad)
    back, reset = exchange("10.0.0.1", port, "10.0.0.2", 8080, get, b"")
    return front + back + reset + answer


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]


class Message(ctypes.Structure):                # struct mmsghdr: sendmmsg(2)
    _fields_ = [("name", ctypes.c_void_p), ("name_len", ctypes.c_uint), ("vector", ctypes.POINTER(Vector)), ("vectors", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("control_len", ctypes.c_size_t), ("flags", ctypes.c_int), ("sent", ctypes.c_uint)]


BATCH = 50


class Wire:
    """Puts frames onto one end of a pair; they come out of the other."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind((name, 0))

    def send(self, frames):
        for f in frames:
            self.socket.send(f)

    def flood(self, frames, count, rate):
        """Sends count frames in batches, at a rate where one is given; returns the rate reached."""
        libc = ctypes.CDLL(None, use_errno=True)
        vectors = (Vector * len(frames))(*[Vector(f, len(f)) for f in frames])
        size = ctypes.sizeof(Vector)
        messages = (Message * len(frames))()
        for i in range(len(frames)):
            messages[i].vector = ctypes.cast(ctypes.addressof(vectors) + i * size, ctypes.POINTER(Vector))
            messages[i].vectors = 1
        begun, sent = time.monotonic(), 0
        while sent < count:
            early = begun + sent / rate - time.monotonic() if rate else 0
            if early > 0:
                time.sleep(early)
            at = sent % len(frames)
            n = libc.sendmmsg(self.socket.fileno(), ctypes.byref(messages, at * ctypes.sizeof(Message)), min(BATCH, len(frames) - at, count - sent), 0)
            if n <= 0:
                raise OSError(ctypes.get_errno(), "sendmmsg")
            sent += n
        return sent / (time.monotonic() - begun)


def healthy():
    get, ok = b"GET /ok HTTP/1.1\r\nHost: shop.example\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    frames = []
    for port in range(20000, 22000):
        first, then = exchange("10.0.0.9", port, "10.0.0.1", 80, get, ok)
        frames += first + then
    return frames


# ---- the sniffer ---------------------------------------------------------------------------

class Sniffer:
    def __init__(self, tool, *options):
        self.process = subprocess.Popen([tool, *options, "-T", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 10
        while time.monotonic() < end and self.process.poll() is None:
            with open("/proc/net/packet") as f:
                if len(f.readlines()) > options.count("-i") + 2:        # a line of titles, and the two senders'
                    break
            time.sleep(0.02)
        time.sleep(0.3)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            out, err = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
        try:
            return self.process.returncode, json.loads(out), err
        except ValueError:
            return self.process.returncode, None, err + out[-300:]


def causes(report):
    return [i["cause"] for i in report["incidents"]] if report else None


def two_interfaces(tap, tool, one, two):
    s = Sniffer(tool, "-i", "one0", "-i", "two0")
    one.send(failure(30001))
    two.send(failure(30002))
    time.sleep(0.5)
    status, report, err = s.stop()
    tap.ok(causes(report) == ["reset-before-response"] * 2 and status == 1, "two interfaces at once", status, causes(report), err)


def interface_goes(tap, tool, one):
    s = Sniffer(tool, "-i", "one0", "-i", "two0")
    run("ip", "link", "del", "two0")
    time.sleep(1.5)
    one.send(failure(30003))
    time.sleep(0.5)
    alive = s.process.poll() is None
    run("ip", "link", "add", "two0", "type", "veth", "peer", "name", "two1")
    run("ip", "link", "set", "two0", "up")
    run("ip", "link", "set", "two1", "up")
    time.sleep(4.5)                             # the backoff: 1, 2, 4 s
    status, report, err = s.stop()
    tap.ok("two0: is back" in err, "one that comes back is opened again, under the sandbox too", err)
    tap.ok("two0" in err.replace("listening on one0, two0", ""), "an interface that goes away is named", err)
    tap.ok(alive and causes(report) == ["reset-before-response"], "and the other is listened to", status, causes(report), err)


def flood(tap, tool, one):
    frames = healthy()
    s = Sniffer(tool, "-i", "one0")
    reached = one.flood(frames, RATE * SECONDS, RATE)
    time.sleep(0.5)
    _, report, err = s.stop()
    if reached < RATE * 0.95:
        tap.skip("a flood without a drop", "this machine sends %d packets/s at most" % reached)
        return
    got = report and (report["capture"]["packets"], report["capture"]["quality"]["kernel_dropped"])
    tap.ok(got == (RATE * SECONDS, 0), "%d packets/s for %d s without a drop" % (RATE, SECONDS), got, err)


def drops_shown(tap, tool, one):
    s = Sniffer(tool, "-i", "one0", "-B", "64")
    s.process.send_signal(signal.SIGSTOP)
    one.flood(healthy(), 20000, 0)
    s.process.send_signal(signal.SIGCONT)
    time.sleep(0.5)
    _, report, err = s.stop()
    q = report and report["capture"]["quality"]["kernel_dropped"]
    tap.ok(q and q + report["capture"]["packets"] == 20000, "what the kernel dropped is counted", q, report and report["capture"], err)


def inside(tool):
    for pair in ("one", "two"):
        run("ip", "link", "add", pair + "0", "type", "veth", "peer", "name", pair + "1")
        for end in ("0", "1"):
            with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % (pair + end), "w") as f:
                f.write("1")                    # no router solicitations of its own
            run("ip", "link", "set", pair + end, "up")
    tap, one, two = Tap(), Wire("one1"), Wire("two1")
    two_interfaces(tap, tool, one, two)
    flood(tap, tool, one)
    drops_shown(tap, tool, one)
    interface_goes(tap, tool, one)
    return tap.done()


def main():
    tool = os.path.abspath(sys.argv[1])
    if INSIDE in os.environ:
        return inside(tool)
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        print("1..0 # SKIP ip or unshare is not installed")
        return 0
    made = subprocess.run(["unshare", "-n", "ip", "link", "add", "one0", "type", "veth", "peer", "name", "one1"], capture_output=True)
    if made.returncode != 0:
        print("1..0 # SKIP no network namespace, or no veth, may be made here")
        return 0
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "-n", sys.executable, os.path.abspath(__file__), tool])


if __name__ == "__main__":
    sys.exit(main())
