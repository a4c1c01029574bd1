#!/usr/bin/env python3
"""Runs a real gateway before a misbehaving upstream in network namespaces, and captures on the gateway.

    run.py SCENARIO GATEWAY OUTDIR [--pcapng]       one of each; "all" for every scenario, or every gateway
    run.py --list

OUTDIR gets, for one of each (with "all": OUTDIR/CAUSE/GATEWAY-SCENARIO/):

    capture.pcap or .pcapng   what the gateway sent and received
    expected.json             the truth: what the client saw, and which packets show why
    README                    how it was made, the gateway's own log, which frames to look at
    gateway.conf              what the gateway ran with

The truth comes from the client's answers and the upstream's behaviour, never from why502. Needs root.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import captured
import gateways
import net
import scenarios

HERE = os.path.dirname(os.path.abspath(__file__))

def wait_until_listening(network, ns, address, port, seconds=60):
    """By the namespace's own socket table, so that no packet is sent for it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        out = subprocess.run(["ip", "netns", "exec", ns, "ss", "-Hltn", "sport = :%d" % port], capture_output=True, text=True).stdout
        if address in out or "0.0.0.0:" in out or "*:" in out:
            return
        time.sleep(0.05)
    raise RuntimeError("%s:%d does not listen" % (address, port))


def filled(command, setting):
    return [a.format(dir=setting.dir, listen=setting.listen, port=setting.port) for a in command]


def start_gateway(network, gateway, setting):
    for name, text in gateway.config(setting).items():
        path = os.path.join(setting.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    environment = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin", HOME=setting.dir)
    environment["PROXY_CONFIG_CONFIG_DIR"] = setting.dir        # Traffic Server
    out = open(os.path.join(setting.dir, "gateway.out"), "w")
    network.start(network.gateway, filled(gateway.command, setting), stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=setting.dir)
    wait_until_listening(network, network.gateway, setting.listen, setting.port)
    if gateway.logger:
        with open(os.path.join(setting.dir, "gateway.log"), "w") as log:
            network.start(network.gateway, filled(gateway.logger, setting), stdout=log, stderr=subprocess.STDOUT)


def make_world_readable(folder):
    """Gateways that change user must reach their own files."""
    for root, dirs, files in os.walk(folder):
        for name in [root] + [os.path.join(root, x) for x in dirs]:
            os.chmod(name, 0o777)


def ask(network, scripts):
    """What the client got: see client.py."""
    done = subprocess.run(["ip", "netns", "exec", network.client, sys.executable, os.path.join(HERE, "client.py"), net.GATEWAY, "80"],
                          input=json.dumps(scripts), stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    return json.loads(done.stdout)


def run_one(scenario, gateway, folder):
    """Returns the client's answers; capture.pcap and the gateway's files are in folder."""
    with net.Network() as network:
        if scenario.behaviour:
            network.start(network.upstream, [sys.executable, os.path.join(HERE, "upstream.py"), "0.0.0.0:8080", scenario.behaviour],
                          stdout=subprocess.DEVNULL)
            wait_until_listening(network, network.upstream, "0.0.0.0", 8080)
        make_world_readable(folder)
        start_gateway(network, gateway, gateways.Setting(folder, net.GATEWAY, [scenario.route("/", [scenario.upstream])]))
        network.wire.delay_s, network.wire.drop = scenario.delay_s, scenario.drop
        capture = os.path.join(folder, "capture.pcap")
        tcpdump = network.start(network.gateway, ["tcpdump", "-i", "eth0", "-U", "--immediate-mode", "-s", "0", "--nano", "-Z", "root", "-w", capture],
                                stderr=subprocess.PIPE, text=True)
        while "listening on" not in (tcpdump.stderr.readline() or "listening on"):
            pass
        answers = ask(network, {"one": scenario.script("")})["one"]
        time.sleep(scenario.settle_s)
        tcpdump.terminate()
        tcpdump.wait()
    return answers


def log_of(gateway, folder):
    lines = []
    for name in gateway.logs:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, errors="replace") as file:
                lines += [line.rstrip().replace(folder, "DIR") for line in file if line.strip() and "[notice]" not in line]
    return lines[-12:]


def version_of(gateway):
    done = subprocess.run(gateway.version, capture_output=True, text=True, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin"))
    return (done.stdout + done.stderr).strip().splitlines()[0]


def truth(scenario, answers, packets):
    incidents = []
    if scenario.cause:
        last = answers[-1]
        incidents.append({"cause": scenario.cause, "status": last["status"], "upstream": scenario.reported_upstream or scenario.upstream,
                          "method": last["method"], "target": last["target"],
                          "packets": captured.decisive(packets, scenario.decisive, scenario.upstream)})
    return {"requests": len(answers), "incidents": incidents}


def readme(name, scenario, gateway, expected, answers, log):
    said = "\n".join("    %s %s -> %s%s" % (a["method"], a["target"], a["status"], "" if a["whole"] else ", not whole") for a in answers)
    look = "".join("Frames to look at: %s.\n" % ", ".join(str(n) for n in i["packets"]) for i in expected["incidents"])
    return f"""{scenario.story}

Made by tests/lab/run.py {name} {gateway.name}
with {version_of(gateway)}, captured on the gateway ({net.GATEWAY}:80); client {net.CLIENT}, upstream {scenario.upstream}.
{look}
The client saw

{said}

and the gateway's log says

""" + "".join("    %s\n" % line for line in log)


def write_fixture(name, scenario, gateway, folder, out, pcapng):
    answers = run_one(scenario, gateway, folder)
    packets = captured.read_pcap(os.path.join(folder, "capture.pcap"))
    expected = truth(scenario, answers, packets)
    os.makedirs(out, exist_ok=True)
    if pcapng:
        captured.write_pcapng(os.path.join(out, "capture.pcapng"), packets, "eth0")
    else:
        shutil.copy(os.path.join(folder, "capture.pcap"), os.path.join(out, "capture.pcap"))
    with open(os.path.join(out, "expected.json"), "w") as file:
        json.dump(expected, file, indent=1)
        file.write("\n")
    with open(os.path.join(out, "README"), "w") as file:
        file.write(readme(name, scenario, gateway, expected, answers, log_of(gateway, folder)))
    for config in ("gateway.conf", "records.config"):
        if os.path.exists(os.path.join(folder, config)):
            with open(os.path.join(folder, config)) as file, open(os.path.join(out, config), "w") as to:
                to.write(file.read().replace(folder, "DIR"))
    return expected, answers, len(packets)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="?")
    parser.add_argument("gateway", nargs="?")
    parser.add_argument("outdir", nargs="?")
    parser.add_argument("--pcapng", action="store_true")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.list or not args.outdir:
        print("scenarios:", *scenarios.SCENARIOS)
        print("gateways:", *gateways.GATEWAYS)
        return 0 if args.list else 2
    names = list(scenarios.SCENARIOS) if args.scenario == "all" else args.scenario.split(",")
    rows = list(gateways.GATEWAYS) if args.gateway == "all" else args.gateway.split(",")
    for name in names:
        for row in rows:
            scenario, gateway = scenarios.SCENARIOS[name], gateways.GATEWAYS[row]
            out = args.outdir
            if len(names) * len(rows) > 1:
                out = os.path.join(out, scenario.cause or "healthy", row + "-" + name)
            with tempfile.TemporaryDirectory(prefix="lab") as folder:
                expected, answers, n = write_fixture(name, scenario, gateway, folder, out, args.pcapng)
            print("%-24s %-14s %3d packets  %s  %s" % (name, row, n, [a["status"] for a in answers],
                  [i["packets"] for i in expected["incidents"]]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
