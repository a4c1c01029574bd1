#!/usr/bin/env python3
"""wireshark.py WHY502 DIR|FILE...: on each capture, the packets that why502 names lie on the connections that tshark says. Prints TAP.

For every exchange its request's and response's first and last packets are of tcp.stream `connection`; the packets of the
capture are as many as tshark counts; also where a filter, --since or --until leaves packets out.
"""
import glob
import json
import os
import shutil
import subprocess
import sys


def streams_of(capture):
    """{frame number: its tcp.streams, none or several} as tshark has them."""
    done = subprocess.run(["tshark", "-r", capture, "-n", "-T", "fields", "-e", "frame.number", "-e", "tcp.stream"],
                          capture_output=True, text=True, check=True)
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {int(r[0]): [int(n) for n in r[1].split(",")] if r[1] else [] for r in rows}


def judged(tool, capture, streams, *selection):
    """What is wrong with the numbers in a report on the packets that `selection` leaves, and how many exchanges it has."""
    done = subprocess.run([tool, "-r", capture, "--format", "json", "--exchanges", *selection], capture_output=True)
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


def check(tool, capture, is_fixture):
    streams = streams_of(capture)
    wrong, n = judged(tool, capture, streams)
    if n == 0 and is_fixture:
        wrong.append("no exchange")
    for selection in SELECTIONS:
        wrong += judged(tool, capture, streams, *selection)[0]
    return wrong


def main():
    tool, names = sys.argv[1], sys.argv[2:]
    if shutil.which("tshark") is None:
        print("1..0 # SKIP tshark is not installed")
        return 0
    n, failed = 0, False
    captures = [(name, False) for name in names if not os.path.isdir(name)]
    for top in filter(os.path.isdir, names):
        captures += [(c, True) for c in sorted(glob.glob(os.path.join(top, "*", "*", "capture.*")))]
    for capture, is_fixture in captures:
        n += 1
        try:
            wrong = check(tool, capture, is_fixture)
        except (ValueError, KeyError) as e:
            wrong = ["no report: %r" % e]
        for line in wrong:
            print("#", line)
        print("%sok %d - %s" % ("not " if wrong else "", n, os.path.relpath(capture)), flush=True)
        failed |= bool(wrong)
    print("1..%d" % n)
    return failed and "HARNESS_ACTIVE" not in os.environ


if __name__ == "__main__":
    sys.exit(main())
