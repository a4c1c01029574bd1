"""extract.py WHY502: what -w and --write-each write. Prints TAP.

Fixtures, and the shared captures of real gateways where they lie: those with TLS secrets, and every eighth of the others
(WHY502_ALL=1: all)."""
import collections
import glob
import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

from tap import Tap

BLOCK_INTERFACE, BLOCK_PACKET, BLOCK_SECRETS, BLOCK_SECTION = 1, 6, 10, 0x0a0d0d0a
COMMENT, IF_TSRESOL, IF_TSOFFSET = 1, 9, 14
EVERY = 12
Packet = collections.namedtuple("Packet", "ns bytes wire link comments")


class Capture:
    """A pcap or pcapng file as a reader that follows the draft to the letter sees it; anything odd raises."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        self.packets, self.secrets, self.interfaces, self.section = [], [], [], None
        if struct.unpack_from("<I", data)[0] == BLOCK_SECTION:
            self.blocks(data)
        else:
            self.pcap(data)

    def pcap(self, data):
        order = "<" if data[0] in (0xd4, 0x4d) else ">"
        unit = 1 if 0x4d in (data[0], data[3]) or 0x3c in data[1:3] else 1000
        link, at = struct.unpack_from(order + "I", data, 20)[0], 24
        while at + 16 <= len(data):
            seconds, part, kept, wire = struct.unpack_from(order + "4I", data, at)
            self.packets.append(Packet(seconds * 10**9 + part * unit, data[at + 16:at + 16 + kept], wire, link, []))
            at += 16 + kept

    @staticmethod
    def options(order, data):
        at, found = 0, []
        while at + 4 <= len(data):
            code, size = struct.unpack_from(order + "2H", data, at)
            if code == 0:
                break
            found.append((code, data[at + 4:at + 4 + size]))
            at += 4 + (size + 3) // 4 * 4
        return found

    def blocks(self, data):
        at, order, section = 0, "<", []
        while at < len(data):
            if struct.unpack_from("<I", data, at)[0] == BLOCK_SECTION:
                order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
                section = []
            kind, size = struct.unpack_from(order + "2I", data, at)
            if size % 4 or size < 12 or struct.unpack_from(order + "I", data, at + size - 4)[0] != size:
                raise ValueError("block at %d: lengths" % at)
            self.block(order, kind, data[at + 8:at + size - 4], section)
            at += size

    def block(self, order, kind, body, section):
        if kind == BLOCK_SECTION:
            self.section = "\n".join(v.decode("utf-8") for c, v in self.options(order, body[16:]) if c == COMMENT)
        elif kind == BLOCK_INTERFACE:
            found = self.options(order, body[8:])
            known = dict(found)
            section.append((struct.unpack_from(order + "H", body)[0], known.get(IF_TSRESOL, b"\x06")[0],
                            struct.unpack(order + "q", known.get(IF_TSOFFSET, bytes(8)))[0]))
            self.interfaces.append((section[-1][0], struct.unpack_from(order + "I", body, 4)[0],
                                    sorted((c, v) for c, v in found if c not in (COMMENT, IF_TSRESOL, IF_TSOFFSET))))
        elif kind == BLOCK_SECRETS:
            size = struct.unpack_from(order + "I", body, 4)[0]
            self.secrets.append((len(self.packets), body[8:8 + size].decode()))
        elif kind == BLOCK_PACKET:
            interface, high, low, kept, wire = struct.unpack_from(order + "5I", body)
            link, resolution, offset = section[interface]
            ticks = high << 32 | low
            ns = ticks * 10**9 >> (resolution & 127) if resolution & 128 else ticks * 10**9 // 10**resolution
            padded = (kept + 3) // 4 * 4
            comments = [v.decode("utf-8") for c, v in self.options(order, body[20 + padded:]) if c == COMMENT]
            self.packets.append(Packet(ns + offset * 10**9, body[20:20 + kept], wire, link, comments))


def run(tool, *arguments, fine=(0, 1)):
    done = subprocess.run([tool, *arguments], capture_output=True, timeout=120)
    if done.returncode not in fine:
        raise ValueError("exit %d: %s" % (done.returncode, done.stderr.decode("utf-8", "replace")[:200]))
    return done


def report(tool, capture, *arguments):
    return json.loads(run(tool, "-r", capture, "-T", "json", *arguments).stdout)


def verdicts(told):
    return collections.Counter((i["cause"], i["status"], i["upstream"], (i["request"] or {}).get("target"), i["symptom"])
                               for i in told["incidents"])


def key_options(folder):
    return [o for name in ("keys.log",) if os.path.exists(os.path.join(folder, name)) for o in ("-k", os.path.join(folder, name))]


def hellos(capture):
    """Client randoms of the ClientHellos that lie in its packets."""
    return {m.group(1).hex() for p in capture.packets
            for m in re.finditer(rb"\x16\x03.{3}\x01.{3}\x03.(.{32})", p.bytes, re.DOTALL)}


def of_the_original(original, written):
    """Every packet is one of the original's, in its order, untouched."""
    rest = iter(original.packets)
    return all(any(p[:4] == q[:4] for q in rest) for p in written.packets)


def look(tool, capture, out, keys):
    """What is wrong with what is written of this capture."""
    before = report(tool, capture, *keys, "-w", out)
    original, written = Capture(capture), Capture(out)
    after = report(tool, out)
    wrong = []
    if verdicts(before) != verdicts(after):
        wrong.append("verdicts: %s, now %s" % (verdicts(before) - verdicts(after), verdicts(after) - verdicts(before)))
    if not of_the_original(original, written):
        wrong.append("packets are not the original's")
    if original.interfaces and not all(i in original.interfaces for i in written.interfaces):
        wrong.append("interfaces: %s" % written.interfaces)
    want = {(i["id"], e["packet"], e["text"]) for i in before["incidents"] for e in i["evidence"]}
    have = [c for p in written.packets for c in p.comments]
    lacking = [w for w in want if not any("#%d " % w[0] in c and "packet %d: " % w[1] in c for c in have)]
    if lacking:
        wrong.append("not commented: %s" % lacking[:3])
    if not written.section or (before["incidents"] and before["incidents"][0]["cause"] not in written.section):
        wrong.append("the section says %r" % written.section)
    inside = {line.split()[1] for _, text in written.secrets for line in text.splitlines()}
    if not inside <= hellos(written):
        wrong.append("secrets of connections that are not in it")
    return wrong


def all_captures(top):
    shared = os.environ.get("WHY502_SHARED", "")
    own = sorted(glob.glob(os.path.join(top, "tests/fixtures/*/*/capture.*")))
    theirs = sorted(glob.glob(os.path.join(shared, "lab-captures/*/capture.*"))) if shared else []
    if not os.environ.get("WHY502_ALL"):
        theirs = [c for n, c in enumerate(theirs) if n % EVERY == 0 or key_options(os.path.dirname(c)) or "embedded" in c]
    return own + theirs


def round_trip(t, tool, captures, scratch):
    wrong = []
    for n, capture in enumerate(captures):
        folder = os.path.dirname(capture)
        out = os.path.join(scratch, "%d.pcapng" % n)
        try:
            wrong += ["%s: %s" % (os.path.basename(folder), w) for w in look(tool, capture, out, key_options(folder))]
        except (ValueError, KeyError, struct.error, subprocess.TimeoutExpired) as e:
            wrong.append("%s: %s" % (os.path.basename(folder), e))
    t.none("-w: the same verdicts, the original's packets, comments, no stranger's secret (%d captures)" % len(captures), wrong)


def wireshark(t, scratch, captures):
    """tshark and capinfos, of a few."""
    if shutil.which("tshark") is None:
        t.skip("tshark and capinfos read it", "no tshark")
        return
    wrong = []
    for n in range(0, len(captures), max(1, len(captures) // 6)):
        path = os.path.join(scratch, "%d.pcapng" % n)
        for command in (["capinfos", path], ["tshark", "-r", path, "-n", "-T", "fields", "-e", "frame.comment"]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            said = [line for line in done.stderr.splitlines() if not line.startswith("Running as user")]
            if done.returncode != 0 or said:
                wrong.append("%s: %s" % (captures[n], said or done.returncode))
            if command[0] == "tshark" and Capture(path).packets and any(p.comments for p in Capture(path).packets) and "why502: #" not in done.stdout:
                wrong.append("%s: no comments to tshark" % captures[n])
    t.none("tshark and capinfos read it, and show the comments", wrong)


def tls(t, tool, scratch, captures):
    """With secrets the file can be read by itself; without, not."""
    captures = [c for c in captures if key_options(os.path.dirname(c))]
    if not captures:
        t.skip("--no-secrets leaves them out", "no capture with secrets")
        return
    wrong, some = [], 0
    for n, capture in enumerate(captures):
        out = os.path.join(scratch, "bare%d.pcapng" % n)
        report(tool, capture, *key_options(os.path.dirname(capture)), "-w", out, "--no-secrets")
        if Capture(out).secrets:
            wrong.append(capture)
        report(tool, capture, *key_options(os.path.dirname(capture)), "-w", out, "--force")
        some += bool(Capture(out).secrets)
    t.none("--no-secrets leaves them out", wrong)
    t.ok(some > 0, "and else they are in it")


def files(t, tool, scratch, capture):
    out, each = os.path.join(scratch, "out.pcapng"), os.path.join(scratch, "each")
    run(tool, "-r", capture, "-w", out, "-q")
    t.ok(os.stat(out).st_mode & 0o777 == 0o600, "the file is its owner's alone")
    before = os.stat(out).st_ino
    done = run(tool, "-r", capture, "-w", out, "-q", fine=(3,))
    t.ok(b"exists" in done.stderr and os.stat(out).st_ino == before, "none is replaced", done.stderr)
    run(tool, "-r", capture, "-w", out, "-q", "--force")
    t.ok(os.stat(out).st_ino != before, "but with --force")
    told = report(tool, capture, "--write-each", each)
    names = sorted(os.listdir(each))
    t.ok(names == ["incident-%05d.pcapng" % i["id"] for i in told["incidents"]], "--write-each: a file each", names)
    t.ok(all(os.stat(os.path.join(each, n)).st_mode & 0o777 == 0o600 for n in names), "its owner's alone")
    done = run(tool, "-r", capture, "--write-each", each, "-q", fine=(3,))
    t.ok(b"not empty" in done.stderr, "a directory with something in it is refused", done.stderr)
    run(tool, "-r", capture, "--write-each", each, "-q", "--force")
    t.ok(sorted(os.listdir(each)) == names, "but with --force")
    left = [n for n in os.listdir(scratch) if "pcapng." in n]
    t.none("nothing is left over", left)
    run(tool, "-r", capture, "-w", out, "-q", "--force", "--write-window", "10ms")
    t.ok(0 < len(Capture(out).packets) < len(Capture(capture).packets), "--write-window narrows it")
    for arguments, says in ((("-i", "lo"), b"saved captures"), (("-r", "-"), b"pipe")):
        done = subprocess.run([tool, *arguments, "-w", out + "2", "-c", "1"], capture_output=True, stdin=subprocess.PIPE, timeout=60)
        t.ok(done.returncode == 2 and says in done.stderr and not os.path.exists(out + "2"), "refused: " + " ".join(arguments), done.stderr)


def texts_of(told, found):
    """Every string of a report."""
    if isinstance(told, str):
        found.append(told)
    for value in told.values() if isinstance(told, dict) else told if isinstance(told, list) else ():
        texts_of(value, found)
    return found


def wrong_checksums(capture):
    """TCP over IPv4 over Ethernet, whole: numbers of those whose checksum is wrong (cards compute it after the tap)."""
    wrong = set()
    for n, p in enumerate(capture.packets):
        if p.link != 1 or p.bytes[12:15] != b"\x08\x00\x45" or p.bytes[23] != 6 or len(p.bytes) != p.wire:
            continue
        size = struct.unpack_from(">H", p.bytes, 16)[0] - 20
        data = p.bytes[26:34] + struct.pack(">2H", 6, size) + p.bytes[34:34 + size] + bytes(size % 2)
        total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
        if total % 0xffff != 0:
            wrong.add(n)
    return wrong


def redacted(t, tool, scratch, captures):
    """Other addresses, the same verdicts, in the report and in what is written."""
    out, plain, wrong = os.path.join(scratch, "redacted.pcapng"), os.path.join(scratch, "plain.pcapng"), []
    for capture in captures:
        keys = key_options(os.path.dirname(capture))
        before = report(tool, capture, *keys, "-w", plain, "--force")
        told = report(tool, capture, *keys, "--redact", "addresses", "-w", out, "--force")
        with open(out, "rb") as file:
            data = file.read()
        name, seen = os.path.basename(os.path.dirname(capture)), " ".join(texts_of(told, []))
        short = [collections.Counter((i["cause"], i["status"], i["symptom"]) for i in r["incidents"]) for r in (before, told)]
        if short[0] != short[1]:
            wrong.append("%s: %s" % (name, short))
        addresses = set(re.findall(r"\b10\.\d+\.\d+\.\d+\b", " ".join(texts_of(before, []))))
        wrong += ["%s: %s" % (name, a) for a in addresses if a in seen or a.encode() in data or bytes(map(int, a.split("."))) in data]
        if not keys and {i["upstream"] for i in told["incidents"]} - {i["upstream"] for i in report(tool, out)["incidents"]} - {None}:
            wrong.append("%s: other addresses in the packets than in the report" % name)
        if Capture(out).secrets or wrong_checksums(Capture(out)) != wrong_checksums(Capture(plain)):
            wrong.append("%s: secrets, or checksums" % name)
    t.none("--redact addresses: none is left, verdicts stay, checksums are as right as they were (%d captures)" % len(captures), wrong)


def several(t, tool, scratch, top):
    """The two sides of a gateway in files of their own."""
    whole = os.path.join(top, "tests/fixtures/keepalive-race/nginx-keepalive-race/capture.pcapng")
    back, front, out = (os.path.join(scratch, n) for n in ("back.pcap", "front.pcap", "both.pcapng"))
    original = Capture(whole)
    for path, port in ((back, 8080), (front, 80)):
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 262144, original.packets[0].link))
            for p in original.packets:
                if port in struct.unpack_from(">2H", p.bytes, 34):
                    file.write(struct.pack("<4I", p.ns // 10**9, p.ns % 10**9, len(p.bytes), p.wire) + p.bytes)
    told = report(tool, front, "-r", back, "-w", out)
    t.ok(verdicts(told) == verdicts(report(tool, out)) and len(Capture(out).interfaces) == 2, "several files: an interface each",
         verdicts(told), Capture(out).interfaces)


def main():
    tool = os.path.abspath(sys.argv[1])
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    captures = all_captures(top)
    t = Tap()
    with tempfile.TemporaryDirectory() as scratch:
        round_trip(t, tool, captures, scratch)
        wireshark(t, scratch, captures)
        tls(t, tool, scratch, captures)
        files(t, tool, scratch, os.path.join(top, "tests/fixtures/http2-goaway/nginx-h2-goaway-pair/capture.pcapng"))
        redacted(t, tool, scratch, captures[::2])
        several(t, tool, scratch, top)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
