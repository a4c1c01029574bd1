"""A small network on one machine: a client, a gateway and an upstream host, each in its own namespace, on one switch.

The upstream's cable is a pair of TAP devices with this program between them, so that it can be slow, lose packets, or carry
packets that nobody sent. Needs root, iproute2, and /dev/net/tun.
"""
import fcntl
import heapq
import itertools
import os
import select
import struct
import subprocess
import threading
import time

CLIENT, GATEWAY, UPSTREAM = "10.77.0.10", "10.77.0.1", "10.77.0.21"
NOBODY = "10.77.0.99"               # an address on the switch that no host has
BLACKHOLE = "10.77.9.9"             # behind the upstream host, which says nothing
UNREACHABLE = "10.77.9.8"           # ... which says "host unreachable"
PROHIBITED = "10.77.9.7"            # ... which says "administratively prohibited"

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 0x0002, 0x1000


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


class Frame:
    """What a wire's rules look at. flags: TCP's letters (S, A, F, R, P), "" for anything else."""

    def __init__(self, data, to_upstream):
        self.data, self.to_upstream, self.flags, self.payload, self.port = data, to_upstream, "", b"", 0
        if data[12:14] == b"\x08\x00" and data[23] == 6:
            at = 14 + 4 * (data[14] & 15)
            self.port = struct.unpack_from(">H", data, at + (2 if to_upstream else 0))[0]       # the upstream's
            end = 14 + struct.unpack_from(">H", data, 16)[0]
            bits = data[at + 13]
            self.flags = "".join(c for i, c in enumerate("FSRPA") if bits >> i & 1)
            self.payload = data[at + 4 * (data[at + 12] >> 4):end]


class Wire(threading.Thread):
    """Carries frames between two TAP devices, each `delay_s` later, or as long as `delays_s` says for the upstream's port. `drop` is
    asked about each frame."""

    def __init__(self, switch_fd, host_fd):
        super().__init__(daemon=True)
        self.ends = {switch_fd: host_fd, host_fd: switch_fd}
        self.host_fd, self.delay_s, self.delays_s, self.drop, self.stopping = host_fd, 0.0, {}, None, False

    def run(self):
        waiting, count = [], 0
        while not self.stopping:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, fd, data = heapq.heappop(waiting)
                try:
                    os.write(fd, data)
                except OSError:
                    pass
            timeout = max(0.0, waiting[0][0] - now) if waiting else 0.05
            for fd in select.select(list(self.ends), [], [], timeout)[0]:
                try:
                    data = os.read(fd, 65600)
                except OSError:
                    continue
                frame = Frame(data, fd != self.host_fd)
                if self.drop and self.drop(frame):
                    continue
                count += 1
                after_s = self.delays_s.get(frame.port, self.delay_s)
                heapq.heappush(waiting, (time.monotonic() + after_s, count, self.ends[fd], data))


class Network:
    count = itertools.count()           # several at once have names of their own

    def __init__(self):
        tag = "w%d%s" % (os.getpid() % 100000, chr(ord("A") + next(Network.count) % 26))
        self.client, self.gateway, self.upstream, self.switch = (tag + x for x in "cgus")
        self.tag, self.processes, self.fds = tag, [], []

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        for ns in (self.client, self.gateway, self.upstream, self.switch):
            run("ip", "netns", "add", ns)
            run("ip", "-n", ns, "link", "set", "lo", "up")
            self.inside(ns, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        run("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self.switch, "link", "set", "br0", "up")
        for n, ns in enumerate((self.client, self.gateway), 1):
            run("ip", "-n", self.switch, "link", "add", "port%d" % n, "type", "veth", "peer", "name", "eth0", "netns", ns)
            run("ip", "-n", self.switch, "link", "set", "port%d" % n, "master", "br0", "up")
        for n, (name, ns) in enumerate(((self.tag + "p", self.switch), (self.tag + "h", self.upstream))):
            self.fds.append(tap(name))
            run("ip", "link", "set", name, "netns", ns)
            run("ip", "-n", ns, "link", "set", name, "name", ("port3", "eth0")[n])
        run("ip", "-n", self.switch, "link", "set", "port3", "master", "br0", "up")
        for n, (ns, address) in enumerate(((self.client, CLIENT), (self.gateway, GATEWAY), (self.upstream, UPSTREAM)), 1):
            run("ip", "-n", ns, "link", "set", "eth0", "address", "02:00:00:00:00:%02x" % n, "up")
            run("ip", "-n", ns, "addr", "add", address + "/24", "dev", "eth0")
        run("ip", "-n", self.upstream, "addr", "add", "10.77.0.22/24", "dev", "eth0")
        self.inside(self.upstream, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0")
        run("ip", "-n", self.gateway, "route", "add", "10.77.9.0/24", "via", UPSTREAM)
        for kind, address in (("blackhole", BLACKHOLE), ("unreachable", UNREACHABLE), ("prohibit", PROHIBITED)):
            run("ip", "-n", self.upstream, "route", "add", kind, address)
        self.wire = Wire(*self.fds)
        self.wire.start()

    def inside(self, ns, *command):
        run("ip", "netns", "exec", ns, *command)

    def start(self, ns, command, **keywords):
        process = subprocess.Popen(["ip", "netns", "exec", ns, *command], **keywords)
        self.processes.append(process)
        return process

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if hasattr(self, "wire"):
            self.wire.stopping = True
            self.wire.join()
        for fd in self.fds:
            os.close(fd)
        for ns in (self.client, self.gateway, self.upstream, self.switch):
            subprocess.run(["ip", "netns", "del", ns], stderr=subprocess.DEVNULL, check=False)
