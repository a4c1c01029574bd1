#!/usr/bin/env python3
"""wireshark.py WHY502 FIXTURES [CORPUS]: on each capture, the packets that why502 names lie on the connections that tshark says. Prints TAP.

For every exchange its request's and response's first and last packets are of tcp.stream `connection`; the packets and
connections of the capture are as many as tshark counts; of fixtures also where a filter, --since or --until leaves packets
out. Of a corpus a sample is taken (WHY502_SEED), and what wireshark-waivers.txt names; or all with WHY502_ALL=1.
"""
import glob
import json
import os
import random
import shutil
import subprocess
import sys


SAMPLE = 30
TSHARK_SECONDS, WHY502_SECONDS = 120, 60
CAPTURES = (".pcap", ".pcapng", ".cap")


def waivers():
    """{name of a capture: the tcp.streams that tshark alone counts}"""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "wireshark-waivers.txt"), encoding="utf-8") as f:
        rows = [line.split(None, 2) for line in f if line.strip() and line[0] != "#"]
    return {name: sorted(int(n) for n in numbers.split(",")) for name, numbers, _ in rows}


def without(streams, waived):
    """The streams counted as if those waived were not there. A waiver of what is not there is wrong."""
    most = max([n for numbers in streams.values() for n in numbers], default=-1)
    if waived and waived[-1] > most:
        raise ValueError("waived streams %s, but tshark has only %d" % (waived, most + 1))
    return {frame: [n - sum(w < n for w in waived) for n in numbers if n not in waived] for frame, numbers in streams.items()}


def streams_of(capture):
    """{frame number: its tcp.streams, none or several} as tshark has them."""
    done = subprocess.run(["tshark", "-r", capture, "-n", "-T", "fields", "-e", "frame.number", "-e", "tcp.stream"],
                          capture_output=True, text=True, check=True, timeout=TSHARK_SECONDS)
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {int(r[0]): [int(n) for n in r[1].split(",")] if r[1] else [] for r in rows}


def judged(tool, capture, streams, *selection):
    """What is wrong with the numbers in a report on the packets that `selection` leaves, and how many exchanges it has."""
    done = subprocess.run([tool, "-r", capture, "--format", "json", "--exchanges", *selection], capture_output=True,
                          timeout=WHY502_SECONDS)
    report = json.loads(done.stdout)
    wrong = []
    if report["capture"]["packets"] != len(streams):
        wrong.append("packets: got %d, tshark %d" % (report["capture"]["packets"], len(streams)))
    conversations = 1 + max([n for numbers in streams.values() for n in numbers], default=-1)
    if report["totals"]["connections"] != conversations:
        wrong.append("connections: got %d, tshark %d" % (report["totals"]["connections"], conversations))
    for x in report["exchanges"]:
        for message in (x["request"], x["response"]):
            for end in ("first_packet", "last_packet"):
                n = message and message.get(end)
                if n and x["connection"] not in streams.get(n, []):
                    wrong.append("exchange %d, %s %d: connection %d, tshark %s" % (x["id"], end, n, x["connection"], streams.get(n)))
    return ["%s %s" % (" ".join(selection), w) for w in wrong], len(report["exchanges"])


# Half of the handshakes, all of them, one direction, and what came before: numbers stay as they are.
SELECTIONS = [["tcp[tcpflags] & tcp-syn == 0"], ["tcp[tcpflags] & (tcp-syn|tcp-ack) != tcp-syn"], ["src portrange 1024-65535"],
              ["--since", "+300ms"], ["--until", "-300ms"]]


def check(tool, capture, is_fixture, waived):
    streams = without(streams_of(capture), waived)
    wrong, n = judged(tool, capture, streams)
    if n == 0 and is_fixture:
        wrong.append("no exchange")
    for selection in SELECTIONS if is_fixture else []:
        wrong += judged(tool, capture, streams, *selection)[0]
    return wrong


def of_corpus(top, waived):
    found = sorted(c for c in glob.glob(os.path.join(top, "*")) if c.endswith(CAPTURES))
    if os.environ.get("WHY502_ALL") or len(found) <= SAMPLE:
        return found
    seed = os.environ.get("WHY502_SEED", "502")
    print("# a sample of %d of %d, WHY502_SEED=%s; WHY502_ALL=1 takes all" % (SAMPLE, len(found), seed))
    return sorted(set(random.Random(seed).sample(found, SAMPLE)) | {c for c in found if os.path.basename(c) in waived})


def main():
    tool, tops = sys.argv[1], sys.argv[2:]
    if shutil.which("tshark") is None:
        print("1..0 # SKIP tshark is not installed")
        return 0
    n, failed, waived = 0, False, waivers()
    captures = [(c, True) for c in sorted(glob.glob(os.path.join(tops[0], "*", "*", "capture.*")))]
    for top in tops[1:]:
        captures += [(c, False) for c in of_corpus(top, waived)]
    for capture, is_fixture in captures:
        n += 1
        name = os.path.basename(capture)
        try:
            wrong = check(tool, capture, is_fixture, [] if is_fixture else waived.get(name, []))
        except (ValueError, KeyError, subprocess.SubprocessError) as e:
            wrong = ["no report: %r" % e]
        for line in wrong:
            print("#", line)
        print("%sok %d - %s" % ("not " if wrong else "", n, os.path.relpath(capture)), flush=True)
        failed |= bool(wrong)
    print("1..%d" % n)
    return failed and "HARNESS_ACTIVE" not in os.environ


if __name__ == "__main__":
    sys.exit(main())
