#!/usr/bin/env python3
"""inputs.py WHY502 SRCDIR [SHARED]: the same traffic in every form that people hand over gives the same report. Prints TAP.

Link layers and tunnels (rewrap.py), compressed, piped, in five files, in a file for each side of the gateway; every packet
twice, connections seen before and after address translation (retap.py). Of the captures of real gateways in SHARED
a sample is taken (WHY502_SEED), or all with WHY502_ALL=1.
"""
import glob
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

import retap
import rewrap
from tap import Tap

SAMPLE = 12


# ---- reports -------------------------------------------------------------------------------

def report(tool, files, stdin=None, more=()):
    command = [tool, "--format", "json", "--exchanges", *more]
    for name in files:
        command += ["-r", name]
    done = subprocess.run(command, stdin=stdin, capture_output=True, timeout=60)
    if done.returncode not in (0, 1):
        raise ValueError("exit %d: %s" % (done.returncode, done.stderr.decode("utf-8", "replace")[:200]))
    return json.loads(done.stdout)


def whole(report_):
    """The report but for what tells of the files themselves, which every form changes."""
    def walk(v):
        if isinstance(v, dict):
            return {k: walk(x) for k, x in v.items() if k not in ("file", "frame", "command")}
        return [walk(x) for x in v] if isinstance(v, list) else v

    r = dict(report_)
    r["capture"] = {k: v for k, v in r["capture"].items() if k not in ("files", "bytes", "interfaces")}
    return walk(r)


def verdicts(r):
    """What a report says of the exchanges and their failures, but for addresses and numbers of packets."""
    told = [("incident", i["cause"], i.get("status"), i.get("confidence"), i["request"] and i["request"].get("target"))
            for i in r["incidents"]]
    return [("totals", r["totals"]["incidents"], r["totals"]["requests"], r["totals"]["exchanges"])] + sorted(told, key=repr)


def causes(r):
    return sorted((i["cause"], str(i.get("status"))) for i in r["incidents"])


def differs(want, got):
    if want == got:
        return []
    if isinstance(want, dict) and isinstance(got, dict):
        keys = [k for k in {**want, **got} if want.get(k) != got.get(k)]
        return ["%s: want %s, got %s" % (k, json.dumps(want.get(k))[:300], json.dumps(got.get(k))[:300]) for k in keys]
    return ["want %s" % (want,), "got  %s" % (got,)]


def attempt(check):
    try:
        return check()
    except (ValueError, KeyError, OSError, subprocess.SubprocessError) as e:
        return ["%r" % e]


def rewrite(tool, *arguments):
    if tool.main(list(arguments)) != 0:
        raise ValueError("not rewritten: " + " ".join(arguments))


# ---- forms ---------------------------------------------------------------------------------

def wrapped(tap, tool, capture, name, folder):
    """Into each link layer and tunnel: the same verdicts."""
    out = os.path.join(folder, "wrapped")
    want = verdicts(report(tool, [capture]))

    def check(kind):
        rewrite(rewrap, kind, capture, out)
        got = report(tool, [out])
        lost = got["capture"]["quality"]["undecodable_packets"]
        return differs(want, verdicts(got)) + (["undecodable packets: %d" % lost] if lost else [])

    for kind in rewrap.KINDS:
        if kind in ("gtp", "l2tp"):
            tap.skip("%s in %s" % (name, kind), "out of scope")
            continue
        tap.none("%s in %s" % (name, kind), attempt(lambda: check(kind)))


def compressed(tap, tool, capture, name, folder):
    want = whole(report(tool, [capture]))
    for command, suffix in ((["gzip", "-c"], "gz"), (["zstd", "-qc"], "zst"), (["lz4", "-qc"], "lz4")):
        if shutil.which(command[0]) is None:
            tap.skip("%s as %s" % (name, suffix), "%s is not installed" % command[0])
            continue
        out = os.path.join(folder, "squeezed")        # by content, not by name
        with open(out, "wb") as f:
            subprocess.run([*command, capture], stdout=f, check=True)
        tap.none("%s as %s" % (name, suffix), attempt(lambda: differs(want, whole(report(tool, [out])))))

    def piped():
        feed = subprocess.Popen(["cat", capture], stdout=subprocess.PIPE)
        got = report(tool, ["-"], feed.stdout)
        feed.stdout.close()
        feed.wait()
        return differs(want, whole(got))

    tap.none("%s through a pipe" % name, attempt(piped))


def divided(tap, tool, capture, name, folder):
    one = os.path.join(folder, "one.pcapng")
    rewrite(retap, "one", capture, one)
    rewrite(retap, "split", capture, folder)
    want = whole(report(tool, [one]))
    parts = [os.path.join(folder, "part%d.pcapng" % i) for i in range(1, 6)]
    sides = [os.path.join(folder, side + ".pcapng") for side in ("back", "front")]
    tap.none("%s in five files" % name, attempt(lambda: differs(want, whole(report(tool, parts)))))
    tap.none("%s in two files, one for each side of the gateway" % name,
           attempt(lambda: differs(verdicts(report(tool, [one])), verdicts(report(tool, sides)))))


# How a capture is rewritten by retap.py, and as what its original is read.
TAPS = {
    "double": ("each packet twice", "one"),
    "twin": ("upstream connections before and after translation", "one"),
    "twin-any": ("the same on one interface", "one"),
    "twin-joined": ("the same, joined late", "joined"),
    "snat": ("upstream connections from two addresses", "one"),
    "three": ("upstream connections at three points", "one"),
    "twin-front": ("client connections before and after a balancer", "one"),
    "snat-front": ("client connections from two addresses", "one"),
}


def counted(r):
    """What is told, and that nothing is counted twice."""
    return [("totals", r["totals"]["requests"], r["totals"]["exchanges"])] + causes(r)


def tapped(tap, tool, capture, name, folder):
    """Seen several times: the same incidents, no more of them."""
    more = [a for k in glob.glob(os.path.join(os.path.dirname(capture), "*keylog*")) for a in ("--keylog", k)]
    out, wanted = os.path.join(folder, "tapped.pcapng"), {}

    def read_as(kind):
        rewrite(retap, kind, capture, out)
        return counted(report(tool, [out], more=more))

    def check(kind, original):
        if original not in wanted:
            wanted[original] = read_as(original)
        return differs(wanted[original], read_as(kind))

    for kind, (what, original) in TAPS.items():
        tap.none("%s, %s" % (name, what), attempt(lambda: check(kind, original)))


def lab_captures(shared):
    found = sorted(glob.glob(os.path.join(shared, "lab-captures", "*", "capture.*")))
    if os.environ.get("WHY502_ALL") or len(found) <= SAMPLE:
        return found
    return sorted(random.Random(os.environ.get("WHY502_SEED", "502")).sample(found, SAMPLE))


def main():
    tool, srcdir = sys.argv[1:3]
    shared = sys.argv[3] if len(sys.argv) > 3 else ""
    tap = Tap()
    top = os.path.join(srcdir, "tests", "fixtures")
    fixtures = sorted(glob.glob(os.path.join(top, "*", "*", "capture.*")))
    base = next(c for c in fixtures if "/closed-mid-headers/" in c or "/closed-before-response/" in c)
    with tempfile.TemporaryDirectory() as folder:
        label = os.path.basename(os.path.dirname(base))
        wrapped(tap, tool, base, label, folder)
        compressed(tap, tool, base, label, folder)
        divided(tap, tool, base, label, folder)
        for capture in fixtures:
            tapped(tap, tool, capture, os.path.basename(os.path.dirname(capture)), folder)
        for capture in lab_captures(shared):
            tapped(tap, tool, capture, os.path.basename(os.path.dirname(capture)), folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
