#!/usr/bin/env python3
"""The sandbox, from outside: forbidden acts, the same reports with and without, what a process under it has left.

    tests/sandbox.py WHY502 FIXTURES
"""
import ctypes
import glob
import json
import os
import platform
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

from tap import Tap

# open and socket are refused, as libraries try them of themselves; for the others there is no way back.
REFUSED, KILLED = ("open", "socket"), ("exec", "fork", "ptrace", "setuid", "mprotect")


def run(tool, *arguments, before=None, **more):
    return subprocess.run([tool, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          preexec_fn=before, timeout=60, **more)


def state(tool, capture, *options, **more):
    """What the report says of the sandbox; None: there is no report."""
    done = run(tool, "-r", capture, "-T", "json", *options, **more)
    try:
        return json.loads(done.stdout)["capture"]["quality"]["sandbox"]
    except ValueError:
        return None


def acts(tap, tool, how, *options):
    for act in REFUSED + KILLED:
        done = run(tool, *options, "--sandbox", "strict", "--selftest-sandbox=" + act)
        if act in REFUSED:
            fine = done.returncode == 0 and b"Permission denied" in done.stderr
        else:
            fine = done.returncode == -signal.SIGSYS
        tap.ok(fine, "%s: %s is forbidden" % (how, act), done.returncode, done.stderr.decode(errors="replace"))


def same_reports(tap, tool, fixtures):
    differ = []
    captures = sorted(glob.glob(fixtures + "/*/*/capture.*"))
    for capture in captures:
        got = []
        for mode in ("strict", "off"):
            done = run(tool, "-r", capture, "-T", "json", "--exchanges", "--sandbox", mode)
            got.append((done.returncode, re.sub(rb'"sandbox": *"[a-z]*"', b"", done.stdout)))
        if got[0] != got[1] or got[0][1] == b"":
            differ.append((capture, got[0][0], got[1][0]))
    tap.ok(captures and not differ, "%d captures: the same report with the sandbox and without" % len(captures), differ)


def without_landlock():
    """In the child: landlock_create_ruleset(2) does not exist."""
    class Program(ctypes.Structure):
        _fields_ = [("n", ctypes.c_ushort), ("code", ctypes.c_char_p)]
    # load the call's number; is it 444 (on all machines)? then ENOSYS, else allowed
    code = b"".join(struct.pack("=HBBI", *i) for i in
                    ((0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)                  # PR_SET_NO_NEW_PRIVS
    libc.prctl(22, 2, ctypes.byref(Program(4, code)), 0, 0)


def lacking(tap, tool, capture):
    done = run(tool, "-r", capture, before=without_landlock)
    tap.ok(done.returncode == 1 and b"the sandbox is partial: no Landlock" in done.stderr,
           "without Landlock the rest holds, and that is said", done.returncode, done.stderr)
    tap.ok(state(tool, capture, before=without_landlock) == "partial", "and the report says partial")
    done = run(tool, "-r", capture, "--sandbox", "strict", before=without_landlock)
    tap.ok(done.returncode == 2 and b"no Landlock" in done.stderr and not done.stdout,
           "strict ends then", done.returncode, done.stderr)
    done = run(tool, "-r", capture, "-q", before=without_landlock)
    tap.ok(done.returncode == 1 and not done.stderr, "-q says nothing of it", done.stderr)


def status_of(pid):
    """Of each thread: its row of /proc, as a dictionary."""
    found = []
    for path in glob.glob("/proc/%d/task/*/status" % pid):
        with open(path, encoding="ascii", errors="replace") as f:
            found.append(dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line))
    return found


class Piped:
    """why502 that reads a pipe which we keep open, with the first half of a capture in it."""

    def __init__(self, tool, capture, *options):
        self.process = subprocess.Popen([tool, "-r", "-", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        with open(capture, "rb") as f:
            whole = f.read()
        self.process.stdin.write(whole[:len(whole) // 2])
        self.process.stdin.flush()
        self.rest = whole[len(whole) // 2:]
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:      # seccomp comes last
            if {"2"} == {s.get("Seccomp", "").strip() for s in status_of(self.process.pid)}:
                break
            time.sleep(0.02)

    def end(self):
        out, err = self.process.communicate(self.rest, timeout=20)
        return self.process.returncode, out, err


def what_is_left(tap, tool, capture):
    p = Piped(tool, capture, "-j", "3", "-T", "json")
    threads = status_of(p.process.pid)
    rows = [(s["Uid"].split(), s["CapEff"].strip(), s["CapPrm"].strip(), s["NoNewPrivs"].strip(), s["Seccomp"].strip()) for s in threads]
    fine = len(rows) > 1 and all(r[1:] == ("0" * 16, "0" * 16, "1", "2") for r in rows)
    tap.ok(fine, "each thread is under the filter, without a capability", rows)
    if os.geteuid() == 0:
        nobody = str(__import__("pwd").getpwnam("nobody").pw_uid)
        tap.ok(all(r[0] == [nobody] * 4 for r in rows), "started as root it is nobody", rows)
        with open("/proc/%d/limits" % p.process.pid, encoding="ascii") as f:
            limits = f.read()
        tap.ok(re.search(r"core file size +0 +0 ", limits) and re.search(r"processes +0 +0 ", limits), "no core, no process", limits)
    status, out, err = p.end()
    tap.ok(status == 1 and json.loads(out)["incidents"], "and the report is whole", status, err)


def outputs(tap, tool, capture, directory):
    name = directory + "/report.json"
    for options in ((), ("--force",)):
        done = run(tool, "-r", capture, "-o", name, *options)
        with open(name, encoding="utf-8") as f:
            report = json.load(f)
        tap.ok(done.returncode == 1 and report["incidents"] and os.listdir(directory) == ["report.json"] and
               os.stat(name).st_uid == os.geteuid() and os.stat(name).st_mode & 0o777 == 0o600,
               "an output in a directory that is ours alone is written whole%s" % (", and replaced" if options else ""), done.stderr)
    os.unlink(name)
    p = Piped(tool, capture, "-o", name)
    before = os.listdir(directory)
    p.process.kill()
    p.process.communicate()
    deadline = time.monotonic() + 5
    while os.listdir(directory) and time.monotonic() < deadline:
        time.sleep(0.02)
    tap.ok(len(before) == 1 and before[0].startswith("report.json.") and os.listdir(directory) == [],
           "killed, it leaves no half of one", before, os.listdir(directory))
    p = Piped(tool, capture, "-o", name)
    os.mkdir(name)
    status, _, err = p.end()
    os.rmdir(name)
    tap.ok(status == 3 and b"cannot write" in err and os.listdir(directory) == [],
           "a name that cannot be had is told", status, err, os.listdir(directory))


def users(tap, tool, capture):
    done = run(tool, "-r", capture, "-Z", "no-such-user-here")
    tap.ok(done.returncode == 2 and b"no-such-user-here" in done.stderr, "a user that is not there is a usage error", done.stderr)


def main():
    tool, fixtures = os.path.abspath(sys.argv[1]), sys.argv[2]
    capture = sorted(glob.glob(fixtures + "/keepalive-race/*/capture.*"))[0]
    by_default = state(tool, capture)
    if by_default != "full":
        print("1..0 # SKIP the sandbox is %s here" % by_default)
        return 0
    tap = Tap()
    for threads in ("1", "2"):
        acts(tap, tool, "a file, %s threads" % threads, "-r", capture, "-j", threads)
    if run(tool, "-i", "any", "-a", "duration:1", "-q").returncode in (0, 1, -signal.SIGSYS):
        tap.ok(run(tool, "-i", "any", "-a", "duration:1", "-q", "--sandbox", "strict").returncode in (0, 1), "live: it ends well")
        acts(tap, tool, "live", "-i", "any")
    else:
        tap.skip("live: what is forbidden", "no interface may be sniffed on")
    done = run(tool, "-r", capture, "--sandbox", "off", "--selftest-sandbox=open")
    tap.ok(done.returncode == 1 and b"is possible" in done.stderr, "off, the self-test finds it possible", done.stderr)
    tap.ok(state(tool, capture, "--sandbox", "off") == "off", "and the report says off")
    same_reports(tap, tool, fixtures)
    if platform.system() == "Linux":
        lacking(tap, tool, capture)
        what_is_left(tap, tool, capture)
    with tempfile.TemporaryDirectory() as directory:
        outputs(tap, tool, capture, directory)
    users(tap, tool, capture)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
