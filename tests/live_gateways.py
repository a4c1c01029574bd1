#!/usr/bin/env python3
"""Real gateways before upstreams that misbehave, why502 sniffing: do its causes agree with what each gateway logged? Prints TAP.

    live_gateways.py WHY502 [--keep DIR] [--scheme SCHEME] [GATEWAY...]      "all" for all ten of tests/lab/gateways.py

A gateway runs once, with a path and an upstream for each scenario of tests/lab/scenarios.py. All scenarios go on at the same time,
but those whose tries carry no request that can be seen: several such at once are not to be told apart. The truth is the scenario, what the client got, and the gateway's own log: an incident must have the scenario's cause, the client's
status, the upstream, and its cause must be one that `why502 --explain` gives for what the gateway logged about that request.
What a gateway copes with (an answer that is no error) need not be told, and needs no word in the log. Where a gateway logs a failure
without a word on its cause, the status must be what its model has for that cause.

What goes over TLS is read with the upstreams' key log, which grows meanwhile, is rotated once, and opened again on SIGHUP. With
--scheme https the capture is read again, with the keys and without: there a cause must be the same, or none.

--scheme: only the scenarios whose upstream speaks http, https or h2c.
--keep: DIR/GATEWAY gets the capture, the report, the gateway's configuration and logs.
"""
import argparse
import concurrent.futures
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lab"))
import gateways                         # noqa: E402
import net                              # noqa: E402
import run                              # noqa: E402
import scenarios                        # noqa: E402
import tls                              # noqa: E402
from tap import Tap                     # noqa: E402

IN_SUITE = ("nginx", "haproxy", "apache", "varnish")
AT_LEAST = {None: 10, "http": 10, "https": 8, "h2c": 3}         # causes that agree, of each gateway
FIRST_PORT = 8080                       # of the scenarios' upstreams, one each
START_S, STOP_S = 10, 10
ROTATE_AFTER_S = 3                      # amid the others
LONE_AFTER_S = 3                        # when most of the others are done
AT_ONCE = 2                             # gateways: they share the machine's processors
STATUSES = "500-504"                    # Apache and lighttpd answer 500, too
AS_THE_LOG_SAYS = ("client-aborted", "no-upstream-attempt")     # a gateway may not notice, or try again: then its log tells


class Case:
    """One scenario at one gateway: what is expected, and what came."""

    def __init__(self, name, scenario, port):
        self.name, self.scenario, self.port = name, scenario, port
        self.prefix = "/case%d" % port          # says nothing of what will happen: logs have it in their lines
        self.upstream = "%s:%d" % (scenario.upstream.rpartition(":")[0], port)
        self.answers, self.incidents, self.log = [], [], []

    def route(self):
        return self.scenario.route(self.prefix + "/", [self.upstream])

    @property
    def last(self):
        return self.answers[-1]

    def script(self):
        return self.scenario.script(self.prefix, fresh=self.scenario.cause != "")

    def coped(self):
        """The client got an answer that is no error of the gateway's."""
        return self.last["whole"] and self.last["status"] < 500

    def reported_upstream(self, cause):
        if cause == "no-upstream-attempt":
            return None
        if self.scenario.reported_upstream:             # no port, where no packet to it was ever sent
            return self.scenario.reported_upstream
        return self.upstream


# ---- a run ---------------------------------------------------------------------------------

def start_upstreams(network, cases, folder):
    mine = [c for c in cases if c.scenario.behaviour]
    command = [sys.executable, os.path.join(HERE, "lab", "upstream.py")]
    for c in mine:
        command += ["0.0.0.0:%d" % c.port, c.scenario.behaviour]
    process = network.start(network.upstream, command, stdout=subprocess.PIPE, env=dict(os.environ, **{tls.FOLDER: folder}))
    if process.stdout.readline() != b"listening\n":
        raise RuntimeError("the upstreams do not listen")
    network.wire.delays_s = {c.port: c.scenario.delay_s for c in cases if c.scenario.delay_s}


def start_sniffer(network, tool, folder):
    with open(os.path.join(folder, "report.ndjson"), "w") as out, open(os.path.join(folder, "why502.err"), "w") as err:
        sniffer = network.start(network.gateway, [tool, "-i", "eth0", "-T", "ndjson", "--status", STATUSES, "-k", os.path.join(folder, tls.KEYS)], stdout=out, stderr=err)
    end = time.monotonic() + START_S
    while time.monotonic() < end and sniffer.poll() is None:
        with open("/proc/%d/net/packet" % sniffer.pid) as file:
            if len(file.readlines()) > 1:
                break
        time.sleep(0.02)
    time.sleep(0.3)
    return sniffer


def start_capture(network, folder):
    """A copy of what why502 sees, to look into afterwards."""
    tcpdump = network.start(network.gateway, ["tcpdump", "-i", "eth0", "-U", "--immediate-mode", "-B", "16384", "--nano", "-Z", "root", "-w",
                                              os.path.join(folder, "capture.pcap")], stderr=subprocess.PIPE, text=True)
    while "listening on" not in (tcpdump.stderr.readline() or "listening on"):
        pass
    return tcpdump


def stop_sniffer(sniffer, folder):
    """Its report, as incidents and the summary."""
    sniffer.send_signal(signal.SIGINT)
    sniffer.wait(STOP_S)
    with open(os.path.join(folder, "report.ndjson")) as file:
        *incidents, summary = [json.loads(line) for line in file]
    return incidents, summary


def log_records(gateway, folder):
    """The log as lists of lines that belong together: a line each, but for logs that part them by empty lines."""
    records = []
    for name in gateway.logs:
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            continue
        with open(path, errors="replace") as file:
            text = file.read()
        if name == "gateway.log":
            records += [block.splitlines() for block in text.split("\n\n") if block.strip()]
        else:
            records += [[line] for line in text.splitlines() if line.strip()]
    return records


def about(records, case, used_once):
    """The lines about a case's last request: those that have its target, its upstream, or its client's port if no other had it."""
    marks = [case.last["target"]]
    if case.last["port"] in used_once:
        marks.append("%s:%d" % (net.CLIENT, case.last["port"]))
    if not case.scenario.leave_out:                     # else the lines are of the request before
        marks.append(case.upstream)
    pattern = re.compile("|".join(r"(?<![\w/])%s(?!\w)" % re.escape(m) for m in marks))
    return [line for record in records if any(pattern.search(line) for line in record) for line in record]


def rotate_keys(folder, sniffer):
    os.rename(os.path.join(folder, tls.KEYS), os.path.join(folder, tls.KEYS + ".1"))
    with open(os.path.join(folder, tls.KEYS), "w", encoding="ascii"):
        pass
    sniffer.send_signal(signal.SIGHUP)


def read_again(tool, folder, cases):
    """What the capture's report is with all keys, and without any, where it is not the live one's."""
    keys = [o for name in (tls.KEYS, tls.KEYS + ".1") for o in ("-k", os.path.join(folder, name))]
    wrong = []
    for how, options, may_lack in (("with keys", keys, ()), ("without keys", [], ("unexplained", None))):
        done = subprocess.run([tool, "-r", os.path.join(folder, "capture.pcap"), "-T", "json", "--status", STATUSES, *options],
                              capture_output=True, env={k: v for k, v in os.environ.items() if k != "SSLKEYLOGFILE"})
        found = {i["request"]["target"]: i["cause"] for i in json.loads(done.stdout)["incidents"] if i["request"]}
        for c in cases:
            cause, want = found.get(c.last["target"]), c.scenario.cause or None
            if cause != want and cause not in may_lack:
                wrong.append("%s: %s is %s, not %s" % (how, c.name, cause, want))
    return wrong


def ask_all(network, cases):
    """A client for each case; one for all of those whose tries show no request, one after another."""
    lone = sorted((c for c in cases if not c.scenario.shows_request), key=lambda c: c.scenario.cause != "")     # that it is a gateway shows first
    scripts = {c.name: c.script() for c in cases if c not in lone}
    scripts["lone"] = [ask for c in lone for ask in c.script()]
    for ask in scripts["lone"][:1] if len(scripts) > 1 else []:
        ask["after_s"] = LONE_AFTER_S
    answers = run.ask(network, scripts)
    for c in cases:
        c.answers = answers.get(c.name) or [a for a in answers["lone"] if a["target"].startswith(c.prefix + "/")]


def run_gateway(tool, gateway, cases, folder, capture):
    """Everything but the judgement: fills the cases, returns what is wrong with the report as a whole."""
    with net.Network() as network:
        tls.make_certificates(folder)
        start_upstreams(network, cases, folder)
        run.make_world_readable(folder)
        run.start_gateway(network, gateway, gateways.Setting(folder, net.GATEWAY, [c.route() for c in cases]))
        tcpdump = start_capture(network, folder) if capture else None
        sniffer = start_sniffer(network, tool, folder)
        rotation = threading.Timer(ROTATE_AFTER_S, rotate_keys, (folder, sniffer))
        rotation.start()
        ask_all(network, cases)
        rotation.join()
        time.sleep(max(c.scenario.settle_s for c in cases))
        incidents, summary = stop_sniffer(sniffer, folder)
        if tcpdump:
            tcpdump.terminate()
            tcpdump.wait(STOP_S)
    records = log_records(gateway, folder)
    ports = [port for c in cases for port in {a["port"] for a in c.answers}]
    used_once = {port for port in ports if ports.count(port) == 1}
    for c in cases:
        c.incidents = [i for i in incidents if i["request"] and i["request"]["target"].startswith(c.prefix + "/")]
        c.log = about(records, c, used_once)
    trouble = [i for i in incidents if not any(i in c.incidents for c in cases)]
    if summary["type"] != "summary" or summary["capture"]["quality"]["kernel_dropped"] != 0:
        trouble.append(summary)
    return trouble


# ---- the judgement -------------------------------------------------------------------------

@functools.lru_cache(maxsize=None)
def explained(tool, product, line):
    """The causes of which a gateway says this."""
    done = subprocess.run([tool, "--explain", line], capture_output=True, text=True)
    return set(re.findall(r"^%s says this of (\S+):" % re.escape(product), done.stdout, re.MULTILINE))


def wrong_with(case, incident, cause, product):
    """What an incident says that the client and the scenario do not."""
    left = case.scenario.cause == "client-aborted"              # it did not see the status
    facts = {"cause": (incident["cause"], cause), "status": (None if left else incident["status"], case.last["status"]),
             "gateway": (incident["gateway"]["address"], "%s:80" % net.GATEWAY),
             "upstream": (incident["upstream"], case.reported_upstream(cause)),
             "target": (incident["request"]["target"], case.last["target"]),
             "client": (incident["client_exchange"]["client"], "%s:%d" % (net.CLIENT, case.last["port"])),
             "product": (incident["gateway"]["product"] or product, product)}
    return ["%s: got %s, wanted %s" % (what, *pair) for what, pair in facts.items() if pair[0] != pair[1]]


def judge(tool, product, case):
    """(what is wrong, whether the cause agrees with the log)"""
    mine = [i for i in case.incidents if i["request"]["target"] == case.last["target"]]
    others = [i for i in case.incidents if i not in mine and not case.scenario.leave_out]
    cause = case.scenario.cause
    if cause == "":
        return ["%s where nothing is wrong" % i["cause"] for i in case.incidents], False
    wrong = ["%s, of %s: nothing was wrong there" % (i["cause"], i["request"]["target"]) for i in others]
    if case.coped():
        return wrong + ["%s, though the client got its answer" % i["cause"] for i in mine if i["cause"] != cause], False
    if not mine and cause == "client-aborted":
        return wrong, False                             # it need not be told: nobody waits for the answer
    if len(mine) != 1:
        return wrong + ["%d incidents: %s" % (len(mine), [i["cause"] for i in mine])], False
    said = set().union(*(explained(tool, product, line) for line in case.log))
    if cause in AS_THE_LOG_SAYS and mine[0]["cause"] in said:
        cause = mine[0]["cause"]
    if cause in AS_THE_LOG_SAYS and not said:
        return wrong, False
    wrong += wrong_with(case, mine[0], cause, product)
    if cause in said or (cause == "upstream-error" and not said):       # what was passed on is nothing to complain of
        return wrong, not wrong
    if not said:
        status = modelled_status(tool, product, cause, case.scenario.scheme == "h2c")
        silent = "no word of it in the log, and %s is not its status for that: %s is" % (case.last["status"], status)
        return wrong + ([] if case.last["status"] in (None, 200, status) else [silent]), False
    return wrong + ["the gateway's log is one of %s" % (sorted(said) or "nothing known")], False


@functools.lru_cache(maxsize=None)
def modelled_status(tool, product, cause, http2):
    """What the client gets for a cause, as `why502 --explain` has it."""
    done = subprocess.run([tool, "--explain", cause], capture_output=True, text=True)
    found = re.search(r"^ +(?:Gateways say +)?%s +(\d{3})(?: \(HTTP/2: (\d{3})\))?" % re.escape(product), done.stdout, re.MULTILINE)
    return found and int(http2 and found[2] or found[1])


def outcome(answer):
    return "%s%s" % (answer["status"] or "no answer", ", cut" if answer["status"] and not answer["whole"] else "")


def tell(tap, tool, gateway, scheme, cases, trouble):
    tap.ok(not trouble, "%s: why502 sniffs, and says nothing of what nobody asked" % gateway.name, *trouble)
    agreed = set()
    for c in cases:
        wrong, agrees = judge(tool, gateway.name, c)
        if agrees:
            agreed.add(c.scenario.cause)
        tap.ok(not wrong, "%s %s: %s%s" % (gateway.name, c.name, outcome(c.last), ", agrees with the log" if agrees else ""),
               *wrong, *("log: " + line.strip() for line in c.log[-8:]))
    tap.ok(len(agreed) >= AT_LEAST[scheme] or gateway.terse, "%s: %d causes agree with its log" % (gateway.name, len(agreed)), *sorted(agreed))


# ---- all of them ---------------------------------------------------------------------------

def cases_for(gateway, scheme):
    able = [(n, s) for n, s in scenarios.SCENARIOS.items()
            if s.scheme in gateway.schemes and scheme in (None, s.scheme) and (s.behaviour or not gateway.probes) and
            gateway.name not in s.not_with and gateway.name in (s.only_with or (gateway.name,))]
    return [Case(name, scenario, FIRST_PORT + i) for i, (name, scenario) in enumerate(able)]


def installed(gateway):
    return shutil.which(gateway.command[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin") is not None


def trial(tool, gateway, scheme, keep):
    """(cases, trouble) of one gateway."""
    cases = cases_for(gateway, scheme)
    with tempfile.TemporaryDirectory(prefix="gateway") as folder:
        try:
            trouble = run_gateway(tool, gateway, cases, folder, keep or scheme == "https")
            if scheme == "https":
                trouble += read_again(tool, folder, cases)
        finally:
            if keep:
                shutil.copytree(folder, os.path.join(keep, gateway.name), dirs_exist_ok=True, ignore=shutil.ignore_patterns("run"))
    return cases, trouble


def why_not():
    """Why nothing can be run here; "" where it can."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3)).close()
    except OSError:
        return "sniffing is not permitted here"
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    try:
        with net.Network():
            return ""
    except (OSError, subprocess.CalledProcessError) as e:
        return "no network namespaces may be made here: %s" % e


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool")
    parser.add_argument("gateways", nargs="*", default=IN_SUITE)
    parser.add_argument("--keep")
    parser.add_argument("--scheme", choices=("http", "https", "h2c"))
    args = parser.parse_intermixed_args()
    reason = why_not()
    if reason:
        print("1..0 # SKIP", reason)
        return 0
    names = list(gateways.GATEWAYS) if "all" in args.gateways else args.gateways
    tool, tap = os.path.abspath(args.tool), Tap()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        runs = {n: pool.submit(trial, tool, gateways.GATEWAYS[n], args.scheme, args.keep) for n in names if installed(gateways.GATEWAYS[n])}
        for name in names:
            if name not in runs:
                tap.skip(name, "is not installed")
                continue
            try:
                tell(tap, tool, gateways.GATEWAYS[name], args.scheme, *runs[name].result())
            except (OSError, RuntimeError, ValueError, KeyError, subprocess.SubprocessError) as e:
                tap.ok(False, "%s: runs" % name, repr(e))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
