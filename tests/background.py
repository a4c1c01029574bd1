#!/usr/bin/env python3
"""Every capture of the lab amid healthy traffic, at random times: the same incidents as alone, no more, no fewer, same causes.

    tests/background.py WHY502 SHARED [--exchanges N] [--captures N] [--only NAME,...] [--seed N] [--keep DIR]

SHARED/bench/gen.c makes the traffic of a busy gateway (both its sides, HTTP/1 and HTTP/2, some loss, nothing fails). The
captures of SHARED/lab-captures get addresses of their own, and times within it; why502 merges the two. As many captures go
into one mix as have gateways that it can keep apart.
"""
import argparse
import glob
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

import retap

MIX = 150                       # captures at a time: each has a gateway or two, and report/roles.h keeps 256
START_NS = 1769860800 * 10**9   # gen.c's first packet
MOST_S = 70                     # no capture of the lab takes longer
ETHERNET = 1


# ---- addresses of their own -------------------------------------------------------------------

def moved(address, k):
    """k more in one 16-bit word and k less in the next, in one's complement: no check sum over both changes."""
    high, low = struct.unpack(">HH", address[-4:])
    return address[:-4] + struct.pack(">HH", (high + k) % 65535, (low - k) % 65535)


def is_host(address):
    if len(address) == 16:
        return address[0] not in (0, 255)
    return 0 < address[0] < 224


def header_bytes(data, at):
    """How much of a packet is no TCP payload, which is left as it is."""
    if data[at] >> 4 == 4:
        t, tcp = at + (data[at] & 15) * 4, data[at + 9] == 6
    else:
        t, tcp = at + 40, data[at + 6] == 6
    return t + (data[t + 12] >> 4) * 4 if tcp and len(data) > t + 12 else len(data)


def hosts(link, packets):
    found = set()
    for _, data, _ in packets:
        at = retap.ip_at(link, data)
        if at is None and link == ETHERNET and data[12:14] == b"\x08\x06":
            found |= {data[28:32], data[38:42]}
        elif at is not None and data[at] >> 4 == 4:
            found |= {data[at + 12:at + 16], data[at + 16:at + 20]}
        elif at is not None:
            found |= {data[at + 8:at + 24], data[at + 24:at + 40]}
    return {h for h in found if is_host(h)}


def elsewhere(link, packets, k):
    """The packets between other hosts."""
    change = [(h, moved(h, k)) for h in hosts(link, packets)]
    out = []
    for time, data, wire in packets:
        at = retap.ip_at(link, data)
        end = header_bytes(data, at) if at is not None else len(data)
        head = data[:end]
        marks = []
        for old, new in change:
            i = head.find(old)
            while i >= 0:
                marks.append((i, new))
                i = head.find(old, i + 1)
        head = bytearray(head)
        for i, new in marks:
            head[i:i + len(new)] = new
        out.append((time, bytes(head) + data[end:], wire))
    return out


# ---- one mix ----------------------------------------------------------------------------------

def load(path, k, chance, seconds):
    link, packets, _ = retap.read(path)
    packets = elsewhere(link, packets, k)
    shift = START_NS + chance.randrange(max(1, seconds - MOST_S)) * 10**9 + chance.randrange(10**9) - packets[0][0]
    return link, [(time + shift, data, wire) for time, data, wire in packets]


def report(tool, files, keys):
    arguments = [tool, "-T", "json", "-k", keys]
    for name in files:
        arguments += ["-r", name]
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=3600)
    if done.returncode > 1:
        raise SystemExit("%s: exit %d: %s" % (files, done.returncode, done.stderr.decode(errors="replace")))
    return json.loads(done.stdout)


def short(incident):
    """What makes two incidents the same: when, whose, why, of which request."""
    request = incident.get("request") or {}
    return (incident["time"], incident["cause"], incident["symptom"], incident["status"], incident.get("upstream"), request.get("method"),
            request.get("target"))


def write_mix(path, captures):
    links = sorted({link for link, _ in captures})
    blocks = [retap.block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1))]
    blocks += [retap.block(1, struct.pack("<HHI", link, 0, 0) + struct.pack("<HHBxxxI", 9, 1, 9, 0)) for link in links]
    packets = sorted(((time, links.index(link), data, wire) for link, packets in captures for time, data, wire in packets),
                     key=lambda p: p[0])
    for time, interface, data, wire in packets:
        blocks.append(retap.block(6, struct.pack("<IIIII", interface, time >> 32, time & 0xffffffff, len(data), wire) + data))
    with open(path, "wb") as f:
        f.write(b"".join(blocks))


def mix(tool, traffic, keys, paths, chance, seconds, directory):
    """How many incidents, and what differs."""
    alone, captures, whose, limits = {}, [], {}, set()
    for k, path in enumerate(paths, 1):
        captures.append(load(path, k, chance, seconds))
        write_mix(directory + "/one.pcapng", captures[-1:])
        one = report(tool, [directory + "/one.pcapng"], keys)
        limits |= set(one["capture"]["quality"]["limits_hit"])
        if one["totals"]["exchanges"] == 0:     # a bare connection counts where it is all there is (DESIGN.md, Roles): not here
            captures.pop()
            continue
        for incident in one["incidents"]:
            alone[short(incident)] = alone.get(short(incident), 0) + 1
            whose[short(incident)[0]] = path
    write_mix(directory + "/lab.pcapng", captures)
    together = {}
    got = report(tool, [traffic, directory + "/lab.pcapng"], keys)
    for incident in got["incidents"]:
        together[short(incident)] = together.get(short(incident), 0) + 1
        whose.setdefault(short(incident)[0], "?")
    differ = ["%s %s: %d alone, %d in the mix" % (whose[key[0]], key, alone.get(key, 0), together.get(key, 0))
              for key in sorted(set(alone) | set(together), key=str) if alone.get(key, 0) != together.get(key, 0)]
    if set(got["capture"]["quality"]["limits_hit"]) - limits:
        differ.append("limits hit: %s" % got["capture"]["quality"]["limits_hit"])
    return sum(alone.values()), got["totals"]["exchanges"], differ


# ---- all of it --------------------------------------------------------------------------------

def make_traffic(shared, exchanges, seed, directory):
    gen, traffic = directory + "/gen", directory + "/traffic.pcap"
    subprocess.run(["cc", "-O2", "-o", gen, shared + "/bench/gen.c", "-lnghttp2", "-lm"], check=True)
    if not os.path.exists(traffic):
        # 100 us of a gateway's time for an exchange: a burst of failures beside it is not lost in idleness.
        done = subprocess.run([gen, "--profile", "gateway", "--exchanges", str(exchanges), "--bodies", "none", "--fail", "0", "--loss",
                               "2000", "--duration", str(max(200, exchanges // 300)), "--seed", str(seed), "-o", traffic],
                              stderr=subprocess.PIPE, check=True)
        with open(directory + "/traffic.json", "wb") as f:
            f.write(done.stderr)
    with open(directory + "/traffic.json", encoding="utf-8") as f:
        return traffic, json.load(f)


def all_keys(paths, directory):
    with open(directory + "/keys.log", "wb") as out:
        os.fchmod(out.fileno(), 0o600)
        for path in paths:
            for log in glob.glob(os.path.dirname(path) + "/*keys*.log"):
                with open(log, "rb") as f:
                    out.write(f.read() + b"\n")
    return directory + "/keys.log"


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("tool")
    p.add_argument("shared")
    p.add_argument("--exchanges", type=int, default=1000000)
    p.add_argument("--captures", type=int, default=0, help="so many of them; else all")
    p.add_argument("--only", help="those whose names hold this, of several with commas between")
    p.add_argument("--seed", type=int, default=502)
    p.add_argument("--keep", help="traffic of before is used again")
    o = p.parse_args()
    chance = random.Random(o.seed)
    paths = sorted(glob.glob(o.shared + "/lab-captures/*/capture.pcap*"))
    chance.shuffle(paths)
    if o.only:
        paths = [path for path in paths if any(word in path.split("/")[-2] for word in o.only.split(","))]
    paths = paths[:o.captures] if o.captures else paths
    if not paths or not os.path.exists(o.shared + "/bench/gen.c"):
        print("1..0 # SKIP no captures, or no traffic to mix them with")
        return 0
    n, failed = 0, False
    with tempfile.TemporaryDirectory() as scratch:
        directory = o.keep or scratch
        os.makedirs(directory, exist_ok=True)
        traffic, truth = make_traffic(o.shared, o.exchanges, o.seed, directory)
        keys = all_keys(paths, directory)
        alone = report(os.path.abspath(o.tool), [traffic], keys)["totals"]
        n += 1
        failed |= alone["incidents"] != 0
        print("%sok %d - %d healthy exchanges: no incident" % ("not " if alone["incidents"] else "", n, alone["exchanges"]), flush=True)
        for at in range(0, len(paths), MIX):
            incidents, exchanges, differ = mix(os.path.abspath(o.tool), traffic, keys, paths[at:at + MIX], chance, int(truth["seconds"]),
                                               directory)
            for line in differ:
                print("# " + line)
            n += 1
            failed |= bool(differ)
            print("%sok %d - %d incidents of %d captures among %d exchanges are those that they are alone" % (
                "not " if differ else "", n, incidents, len(paths[at:at + MIX]), exchanges), flush=True)
    print("1..%d" % n)
    return failed and "HARNESS_ACTIVE" not in os.environ


if __name__ == "__main__":
    sys.exit(main())
