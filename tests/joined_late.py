#!/usr/bin/env python3
"""joined_late.py WHY502 CAPTURE...: HTTP/2 captures without their first N packets, for every N. Prints TAP.

What the whole capture says of a stream is the truth. Without its beginning why502 may know less, but must say nothing else, and
must know every method, target, authority and status that tshark shows rightly for the same packets.

All beginnings of a capture go to tshark at once, each with addresses of its own: a tshark for each would take a second each.
Captures: Ethernet, IPv4, plaintext.
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lab"))
import captured                         # noqa: E402

TSHARK_SECONDS, WHY502_SECONDS = 300, 60
CUTS_MAX = 120                          # of a long capture, evenly
NET_FIRST = 0x0b00                      # the upper half of both addresses in the copy for tshark: 11.0, 11.1, …
MEANING = {":method": "method", ":path": "target", ":authority": "authority", "host": "authority", ":status": "status"}


def write_pcap(path, frames):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHIIII", 0xa1b23c4d, 2, 4, 0, 0, 262144, 1))
        for p, data in frames:
            out.write(struct.pack("<IIII", p.seconds, p.nanos, len(data), p.length) + data)


def renamed(data, upper):
    """An IPv4 packet between hosts of another network. Nobody looks at check sums."""
    if data[12:14] != b"\x08\x00":
        return data
    half = struct.pack(">H", upper)
    return data[:26] + half + data[28:30] + half + data[32:]


# ---- why502's side -------------------------------------------------------------------------------

def said(tool, path):
    """{(client, server, stream): what is known of it} of HTTP/2 streams; raises where there is no report."""
    done = subprocess.run([tool, "-r", path, "--format", "json", "--exchanges"], capture_output=True, timeout=WHY502_SECONDS)
    streams = {}
    for x in json.loads(done.stdout)["exchanges"]:
        if x["stream"] is None:
            continue
        request, response = x["request"] or {}, x["response"] or {}
        facts = {"method": request.get("method"), "target": request.get("target"), "authority": request.get("authority"),
                 "status": response.get("status"), "server": response.get("server"), "grpc status": x["grpc_status"]}
        streams[x["client"], x["server"], x["stream"]] = {k: v for k, v in facts.items() if v is not None}
    return streams


def untrue(truth, now):
    """What `now` says that the whole capture does not."""
    wrong = []
    for stream, facts in now.items():
        if stream not in truth:
            wrong.append("%s: %s: there is no such stream" % (stream, facts))
            continue
        wrong += ["%s: %s is %r, not %r" % (stream, k, v, truth[stream].get(k)) for k, v in facts.items() if truth[stream].get(k) != v]
    return wrong


# ---- tshark's side -------------------------------------------------------------------------------

def pairs(value):
    """Every (key, value) of a JSON tree whose objects are lists of pairs."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        for item in value if isinstance(value, list) else []:
            if isinstance(item, tuple):
                yield item
                waiting.append(item[1])
            else:
                waiting.append(item)


def first(tree, key):
    return next((v for k, v in pairs(tree) if k == key), None)


def fields_of(stream_tree):
    """{what: value} of the header fields of one frame."""
    fields = {}
    for _, header in (x for x in pairs(stream_tree) if x[0] == "http2.header"):
        name, value = first(header, "http2.header.name"), first(header, "http2.header.value")
        if name in MEANING and value:
            fields[MEANING[name]] = int(value) if name == ":status" and value.isdigit() else value
    return fields


def shown(path, ports):
    """[(frame number, stream, fields)] of each header block that tshark decodes."""
    decode_as = [a for port in sorted(ports) for a in ("-d", "tcp.port==%s,http2" % port)]
    done = subprocess.run(["tshark", "-r", path, "-n", *decode_as, "-Y", "http2.header", "-T", "json"], capture_output=True,
                          timeout=TSHARK_SECONDS, check=True)
    out = []
    for frame in json.loads(done.stdout, object_pairs_hook=lambda p: p):
        number = int(first(frame, "frame.number"))
        for _, stream in (x for x in pairs(frame) if x[0] == "http2.stream"):
            fields = fields_of(stream)
            if fields:
                out.append((number, int(first(stream, "http2.streamid")), fields))
    return out


def unknown(truth, now, packet, stream, fields):
    """What tshark shows of a message, rightly, and why502 does not."""
    ends = ("%s:%d" % (packet.src, packet.sport), "%s:%d" % (packet.dst, packet.dport))
    key = next((k for k in ((*ends, stream), (*reversed(ends), stream)) if k in truth), None)
    if key is None:
        return []
    return ["%s: %s %r of packet %d is not known" % (key, k, v, packet.number) for k, v in fields.items()
            if truth[key].get(k) == v and now.get(key, {}).get(k) != v]


# ---- a capture -----------------------------------------------------------------------------------

def judge(tool, capture, folder):
    packets, truth = captured.read(capture), said(tool, capture)
    if not truth:
        return ["no HTTP/2 stream in it"], 0, 0
    step = max(1, len(packets) // CUTS_MAX)
    cuts, frames, nows, wrong, known = range(1, len(packets), step), [], {}, [], 0
    for n in cuts:
        path = os.path.join(folder, "cut.pcap")
        write_pcap(path, [(p, p.data) for p in packets[n:]])
        nows[n] = said(tool, path)
        known += sum(len(facts) for facts in nows[n].values())
        wrong += ["without %d packets: %s" % (n, w) for w in untrue(truth, nows[n])]
        frames += [(n, p, renamed(p.data, NET_FIRST + n)) for p in packets[n:]]
    path = os.path.join(folder, "all.pcap")
    write_pcap(path, [(p, data) for _, p, data in frames])
    blocks = shown(path, {re.sub(".*:", "", server) for _, server, _ in truth})
    for number, stream, fields in blocks:
        n, packet, _ = frames[number - 1]
        wrong += ["without %d packets: %s" % (n, w) for w in unknown(truth, nows[n], packet, stream, fields)]
    return wrong, known, sum(len(fields) for _, _, fields in blocks)


def main():
    tool, captures = sys.argv[1], sys.argv[2:]
    if shutil.which("tshark") is None:
        print("1..0 # SKIP tshark is not installed")
        return 0
    failed = False
    for n, capture in enumerate(captures, 1):
        with tempfile.TemporaryDirectory(prefix="late") as folder:
            try:
                wrong, ours, theirs = judge(tool, capture, folder)
            except (ValueError, KeyError, IndexError, struct.error, subprocess.SubprocessError) as e:
                wrong, ours, theirs = ["%r" % e], 0, 0
        for line in wrong[:20]:
            print("#", line)
        print("%sok %d - %s: %d fields known, %d to tshark" % ("not " if wrong else "", n, os.path.relpath(capture), ours, theirs),
              flush=True)
        failed |= bool(wrong)
    print("1..%d" % len(captures))
    return failed and "HARNESS_ACTIVE" not in os.environ


if __name__ == "__main__":
    sys.exit(main())
