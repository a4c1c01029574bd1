#!/usr/bin/env python3
"""fixtures.py WHY502 DIR: judges each DIR/CAUSE/NAME/capture.* and compares with expected.json beside it. Prints TAP.

expected.json: {"requests": N, "incidents": [{"cause", "status", "upstream", "method", "target", "packets", "confidence"}]},
where a field left out is not compared; of `packets`, at least one must be among the evidence.
"""
import glob
import json
import os
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    jsonschema = None


def judge(tool, capture):
    done = subprocess.run([tool, "-r", capture, "--format", "json"], capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def differences(want, got):
    """What an incident has otherwise than was expected."""
    request = got.get("request") or {}
    seen = {"cause": got["cause"], "status": got["status"], "upstream": got["upstream"], "method": request.get("method"),
            "target": request.get("target"), "confidence": got["confidence"]}
    wrong = ["%s: got %r, wanted %r" % (k, seen[k], want[k]) for k in seen if k in want and seen[k] != want[k]]
    evidence = [e["packet"] for e in got["evidence"]]
    if want.get("packets") and not set(want["packets"]) & set(evidence):
        wrong.append("evidence: got packets %s, wanted one of %s" % (evidence, want["packets"]))
    return wrong


def check(tool, schema, folder):
    with open(os.path.join(folder, "expected.json")) as file:
        want = json.load(file)
    capture = glob.glob(os.path.join(folder, "capture.*"))[0]
    code, out, complaint = judge(tool, capture)
    try:
        report = json.loads(out)
    except ValueError as e:
        return ["exit %d, no JSON (%s): %s" % (code, e, complaint)]
    wrong = []
    if schema is not None:
        wrong += ["schema: %s at %s" % (e.message[:200], list(e.absolute_path)) for e in schema.iter_errors(report)]
    incidents = report["incidents"]
    if want.get("exit", 1 if want["incidents"] else 0) != code:
        wrong.append("exit status: got %d; %s" % (code, complaint))
    if len(incidents) != len(want["incidents"]):
        wrong.append("incidents: got %d (%s), wanted %d" % (len(incidents), ", ".join(i["cause"] for i in incidents),
                                                            len(want["incidents"])))
    if "requests" in want and report["totals"]["requests"] != want["requests"]:
        wrong.append("requests: got %d, wanted %d" % (report["totals"]["requests"], want["requests"]))
    for wanted, got in zip(want["incidents"], incidents):
        wrong += differences(wanted, got)
    return wrong


def main():
    tool, top = sys.argv[1:3]
    printed = subprocess.run([tool, "--print-schema"], capture_output=True)
    schema, n, failed = None, 0, False
    if jsonschema is not None and printed.returncode == 0:
        schema = jsonschema.Draft202012Validator(json.loads(printed.stdout))
    folders = sorted(os.path.dirname(p) for p in glob.glob(os.path.join(top, "*", "*", "expected.json")))
    for folder in folders:
        n += 1
        wrong = check(tool, schema, folder)
        for line in wrong:
            print("#", line)
        print("%sok %d - %s" % ("not " if wrong else "", n, os.path.relpath(folder, top)), flush=True)
        failed |= bool(wrong)
    n += 1
    if jsonschema is None:
        print("ok %d - reports validate # SKIP python3-jsonschema is not installed" % n)
    else:
        print("%sok %d - --print-schema prints a schema" % ("" if schema else "not ", n))
        failed |= schema is None
    print("1..%d" % n)
    return failed and "HARNESS_ACTIVE" not in os.environ


if __name__ == "__main__":
    sys.exit(main())
