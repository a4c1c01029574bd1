#!/usr/bin/env python3
"""Faults of the system while why502 runs: reads of one byte, interrupted calls, full disks, closed streams, signals at any
moment, more files than may be open. No crash, no lost finding, the right exit status and words, nothing left behind.

    tests/faults.py WHY502 WHY502_FAULTS FIXTURES

WHY502_FAULTS: the same program with tests/faults.c between it and the system.
"""
import glob
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from tap import Tap

MOMENTS = int(os.environ.get("WHY502_MOMENTS", "40"))   # of each kind of run that a signal ends
FILES = 500


def run(tool, *arguments, faults=None, stdin=None, **more):
    more.setdefault("stdout", subprocess.PIPE)
    if faults:
        more["env"] = dict(os.environ, WHY502_FAULTS=faults)
    return subprocess.run([tool, *arguments], stderr=subprocess.PIPE, timeout=120,
                          **({"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}), **more)


def told(done):
    """Exit status, and the report but for what a fault is in itself: what it says of the sandbox and of the file's name."""
    return done.returncode, re.sub(rb'"sandbox": *"[a-z]*"|"name": *"[^"]*"', b"", done.stdout)


def words(done):
    """Standard error, without what a kernel that lacks a part of the sandbox has us say."""
    return b"".join(line for line in done.stderr.splitlines(True) if b"the sandbox is partial" not in line)


# ---- the same report on a bad system ----------------------------------------------------------

def same_report(tap, tool, faulty, captures):
    cases = [("reads and writes of one byte", "one=1", 1), ("calls interrupted nine times of ten", "interrupt=10,seed=5", 1),
             ("both", "one=1,interrupt=3,seed=6", 3)]
    for what, faults, every in cases:
        differ = []
        for capture in captures[::every]:
            with open(capture, "rb") as f:
                content = f.read()
            for how in (("-r", capture), ("-r", "-")):
                stdin = content if how[1] == "-" else None
                want = told(run(tool, *how, "-T", "json", "--exchanges", "-N", stdin=stdin))
                got = run(faulty, *how, "-T", "json", "--exchanges", "-N", stdin=stdin, faults=faults)
                if want[0] > 1 or told(got) != want or words(got):
                    differ.append((capture, how, got.returncode, got.stderr))
        tap.ok(not differ, what + ": the same report, of a file and of a pipe", differ[:3])


def packed(tap, tool, faulty, capture):
    differ = []
    for program, suffix in (("gzip", ".gz"), ("zstd", ".zst"), ("lz4", ".lz4")):
        if shutil.which(program) is None:
            continue
        with open(capture, "rb") as f:
            content = subprocess.run([program, "-c"], stdin=f, stdout=subprocess.PIPE, check=True).stdout
        want = told(run(tool, "-r", "-", "-T", "json", stdin=content))
        got = told(run(faulty, "-r", "-", "-T", "json", stdin=content, faults="one=1,interrupt=2"))
        if want[0] != 1 or got != want:
            differ.append((suffix, want[0], got[0]))
    tap.ok(not differ, "the same of compressed ones", differ)


def read_error(tap, faulty, capture):
    got = run(faulty, "-r", capture, "-T", "json", faults="one=1,bad=3000")
    try:
        report = json.loads(got.stdout)
    except ValueError:
        report = {}
    tap.ok(got.returncode == 3 and b"Input/output error" in got.stderr and len(words(got).splitlines()) == 1 and
           report.get("capture", {}).get("packets", 0) > 1, "a disk that cannot be read: said, and reported as far as it goes",
           got.returncode, got.stderr, got.stdout[:300])


# ---- outputs that cannot be written -----------------------------------------------------------

def full(tap, tool, faulty, capture, directory):
    whole = len(run(tool, "-r", capture, "-T", "json").stdout)
    failed = []
    for room in [1, 100, whole // 2, whole - 9]:
        for sandbox in ((), ("--sandbox", "off")):
            got = run(faulty, "-r", capture, "-o", directory + "/x.json", *sandbox, faults="full=%d" % room)
            if got.returncode != 3 or b"x.json: cannot write: No space left" not in got.stderr or os.listdir(directory):
                failed.append((room, sandbox, got.returncode, got.stderr, os.listdir(directory)))
    tap.ok(not failed, "a full disk: said, exit 3, nothing left of the output", failed)
    got = run(faulty, "-r", capture, "-o", directory + "/x.json", "-o", "-", faults="full=100")
    tap.ok(got.returncode == 3 and json_of(got.stdout) is None and b"nginx" in got.stdout, "the other output is whole", got)
    got = run(faulty, "-r", capture, "-o", directory + "/x.json", faults="sync=1")
    tap.ok(got.returncode == 3 and b"Input/output error" in got.stderr and not os.listdir(directory),
           "a disk that does not keep it: likewise", got)

    def few_bytes():
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
    got = run(tool, "-r", capture, "-o", directory + "/x.json", preexec_fn=few_bytes)
    tap.ok(got.returncode == 3 and b"File too large" in got.stderr and not os.listdir(directory), "ulimit -f: likewise", got)


def json_of(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def streams(tap, tool, capture, directory):
    with open(capture, "rb") as f:
        before = f.read()
    for closed in ((0,), (1,), (2,), (0, 1, 2)):
        got = run(tool, "-r", capture, "-T", "json", preexec_fn=lambda closed=closed: [os.close(fd) for fd in closed])
        fine = got.returncode == 3 if 1 in closed else got.returncode == 1 and json_of(got.stdout) is not None
        if closed == (1,):
            fine = fine and b"output: cannot write: Bad file descriptor" in got.stderr
        tap.ok(fine, "with %s closed" % ", ".join(("standard input", "output", "error")[fd] for fd in closed), got.returncode, got.stderr)
    got = run(tool, "-r", "-", preexec_fn=lambda: os.close(0))
    tap.ok(got.returncode == 3 and b"-: " in got.stderr, "standard input closed, and to be read", got)
    got = run(tool, "-r", "/nonexistent", "-o", directory + "/x.json", preexec_fn=lambda: os.close(2))
    tap.ok(got.returncode == 3 and not os.listdir(directory), "an error that nobody reads", got, os.listdir(directory))
    got = run(tool, "-r", capture, "-o", directory + "/x.json", preexec_fn=lambda: [os.close(fd) for fd in (0, 1, 2)])
    with open(directory + "/x.json", encoding="utf-8") as f:
        fine = got.returncode == 1 and json_of(f.read()) is not None
    with open(capture, "rb") as f:
        tap.ok(fine and f.read() == before, "all closed: the output is the report, the capture what it was", got)
    os.unlink(directory + "/x.json")


def slow_reader(tap, tool, capture):
    """A reader's pipe that does not block and is full: we wait, and all comes."""
    want = run(tool, "-r", capture, "-T", "json", "--exchanges", "-vv").stdout
    out, into = os.pipe()
    os.set_blocking(into, False)
    import fcntl
    fcntl.fcntl(into, 1031, 4096)       # F_SETPIPE_SZ
    got, used = b"", os.times()
    process = subprocess.Popen([tool, "-r", capture, "-T", "json", "--exchanges", "-vv"], stdin=subprocess.DEVNULL, stdout=into,
                               stderr=subprocess.PIPE)
    os.close(into)
    time.sleep(0.3)
    while piece := os.read(out, 700):
        got += piece
        time.sleep(0.001)
    os.close(out)
    process.communicate()
    used = os.times().children_user + os.times().children_system - used.children_user - used.children_system
    tap.ok(got == want and process.returncode == 1, "a slow reader of a pipe that does not block gets all", len(got), len(want))
    goes = run(tool, "-r", capture, "-T", "json", stdout=subprocess.PIPE)
    tap.ok(goes.returncode == 1 and used < 5, "and is waited for", used)


def reader_gone(tap, tool, capture):
    out, into = os.pipe()
    os.close(out)
    got = run(tool, "-r", capture, "-T", "json", stdout=into)
    os.close(into)
    tap.ok(got.returncode == 1 and not words(got), "a reader that went away: the exit status stays, no word", got)


# ---- signals ----------------------------------------------------------------------------------

def whole(status, stdout, stderr):
    """A run that a signal ended: a whole report with its exit status, and no word."""
    report = json_of(stdout)
    return report is not None and status == (1 if report["incidents"] else 0) and not stderr


def signal_at_each_call(tap, faulty, capture, directory):
    path, failed = directory + "/x.json", []
    got = run(faulty, "-r", capture, "-o", path, "--force", faults="one=1,count=1")
    calls = int(re.search(rb"calls: (\d+)", got.stderr).group(1))
    step = max(1, calls // MOMENTS)
    for n in sorted(set(range(1, calls + 1, step)) | set(range(1, 12)) | set(range(calls - 11, calls + 1))):
        if os.path.exists(path):
            os.unlink(path)
        sandbox = () if n % 2 else ("--sandbox", "off")
        got = run(faulty, "-r", capture, "-o", path, *sandbox, faults="one=1,signal=%d" % n)
        text = b""
        if os.path.exists(path):
            with open(path, "rb") as f:
                text = f.read()
        if os.listdir(directory) != ["x.json"] or not whole(got.returncode, text, words(got)):
            failed.append((n, got.returncode, got.stderr, text[:80], os.listdir(directory)))
    for name in os.listdir(directory):
        os.unlink(directory + "/" + name)
    tap.ok(not failed, "SIGTERM at any call: a whole report of what was read", failed[:3])


def another(frame, n):
    """An Ethernet frame of TCP over IPv4 in another connection: the same segments again would be copies."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return frame
    ports = [port ^ n if port >= 32768 else port for port in struct.unpack(">HH", frame[34:38])]
    return frame[:34] + struct.pack(">HH", *ports) + frame[38:]


def later(packets, seconds, n):
    """A pcap file, `seconds` later and of other connections."""
    out, at = [packets[:24]], 24
    while at < len(packets):
        s, fraction, kept, wire = struct.unpack("<IIII", packets[at:at + 16])
        out.append(struct.pack("<IIII", s + seconds, fraction, kept, wire) + another(packets[at + 16:at + 16 + kept], n))
        at += 16 + kept
    return b"".join(out)


def little_pcap(captures):
    for capture in captures:
        with open(capture, "rb") as f:
            data = f.read()
        if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
            return data
    raise SystemExit("no pcap file among the fixtures")


def signal_at_any_time(tap, tool, content, directory):
    """A capture long enough that most of the moments fall within it."""
    capture, path = directory + "/long.pcap", directory + "/x.json"
    with open(capture, "wb") as f:
        f.write(content)
        for i in range(1, 200):
            f.write(later(content, 60 * i, i)[24:])
    began = time.monotonic()
    run(tool, "-r", capture, "-o", path, "--force")
    took = time.monotonic() - began
    chance, failed, early = random.Random(502), [], 0
    for n in range(MOMENTS):
        number = (signal.SIGTERM, signal.SIGINT)[n % 2]
        if os.path.exists(path):
            os.unlink(path)
        process = subprocess.Popen([tool, "-r", capture, "-o", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(chance.random() * took)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        left = [name for name in os.listdir(directory) if name not in ("long.pcap", "x.json")]
        if process.returncode == -number and not os.path.exists(path) and not left:
            early += 1                  # before there was a handler
            continue
        with open(path, "rb") as f:
            text = f.read()
        stderr = b"".join(line for line in stderr.splitlines(True) if b"the sandbox is partial" not in line)
        if left or not whole(process.returncode, text, stderr):
            failed.append((number, process.returncode, stderr, left, text[:80]))
    tap.ok(not failed and early < MOMENTS // 2, "SIGTERM and SIGINT at any time: likewise", early, failed[:3])
    for name in os.listdir(directory):
        os.unlink(directory + "/" + name)


def killed_twice(tap, tool, directory):
    process = subprocess.Popen([tool, "-r", "-", "-o", directory + "/x.json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while not os.listdir(directory) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGSTOP)        # so that both wait for it
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGCONT)
    process.communicate(timeout=20)
    deadline = time.monotonic() + 5
    while os.listdir(directory) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = os.listdir(directory)
    for name in left:
        os.unlink(directory + "/" + name)
    # Without a sandbox there is no keeper who outlives it.
    if b"off by default in this build" in run(tool, "--version").stdout:
        left = []
    tap.ok(process.returncode in (-signal.SIGTERM, -signal.SIGINT) and not left,
           "a second signal ends it at once, and leaves no half of an output", process.returncode, left)


# ---- files ------------------------------------------------------------------------------------

def many_files(tap, tool, content, directory):
    for i in range(FILES):
        with open("%s/%03d.pcap" % (directory, i), "wb") as f:
            f.write(later(content, 3600 * i, i))

    def limited(soft, hard):
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with open(directory + "/one", "wb") as f:
        f.write(content)
    alone = json_of(run(tool, "-r", directory + "/one", "-T", "json").stdout)
    os.unlink(directory + "/one")
    got = run(tool, "-r", directory, "-T", "json", "-j", "1", preexec_fn=limited(64, FILES + 64))
    more = run(tool, "-r", directory, "-T", "json", "-j", "3", preexec_fn=limited(64, FILES + 64))
    report = json_of(got.stdout)
    tap.ok(got.returncode == 1 and report is not None and len(report["capture"]["files"]) == FILES and
           report["capture"]["packets"] == FILES * alone["capture"]["packets"] and
           report["totals"]["incidents"] == FILES * alone["totals"]["incidents"] > 0 and
           more.stdout == got.stdout, "a directory of %d files, of which 64 may be open at first" % FILES, got.returncode, got.stderr[:300], got.stdout[:1500])
    got = run(tool, "-r", directory, "-T", "json", preexec_fn=limited(64, 64))
    tap.ok(got.returncode == 3 and re.search(rb"\d\d\.pcap: no more files may be open at once here \(ulimit -Hn\)", got.stderr) and
           len(words(got).splitlines()) == 1 and json_of(got.stdout) is not None, "of which 64 may be open at all: it says why not", got)
    for name in os.listdir(directory):
        os.unlink(directory + "/" + name)


def main():
    tool, faulty, fixtures = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3]
    captures = sorted(glob.glob(fixtures + "/*/nginx-*/capture.*"), key=os.path.getsize)[:12]
    one = sorted(glob.glob(fixtures + "/keepalive-race/nginx-*/capture.*"))[0]
    content = little_pcap(sorted(glob.glob(fixtures + "/*/*/capture.pcap")))
    tap = Tap()
    same_report(tap, tool, faulty, captures)
    packed(tap, tool, faulty, one)
    read_error(tap, faulty, one)
    slow_reader(tap, tool, one)
    reader_gone(tap, tool, one)
    with tempfile.TemporaryDirectory() as directory:
        full(tap, tool, faulty, one, directory)
        streams(tap, tool, one, directory)
        signal_at_each_call(tap, faulty, one, directory)
        killed_twice(tap, tool, directory)
        signal_at_any_time(tap, tool, content, directory)
        many_files(tap, tool, content, directory)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
