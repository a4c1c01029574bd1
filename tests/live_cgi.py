#!/usr/bin/env python3
"""live_cgi.py [--keep DIR] WHY502: nginx before php-fpm (FastCGI) and uWSGI (uwsgi) on loopback, why502 sniffing.

Each case is a way in which an application server fails. The cause must be the case's own, and one that `why502 --explain` gives for
what nginx logged about that request. What nothing is wrong with must not be told. Prints TAP.
"""
import http.client
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

from live import Sniffer, free_port, may_sniff, wait_for_port
from tap import Tap

READ_S = 1                      # nginx waits so long for an answer
BUSY_S = 3

NGINX = """worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log info;
events {{ worker_connections 64; }}
http {{
 access_log off;
 client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
 fastcgi_read_timeout {read}s; uwsgi_read_timeout {read}s;
 server {{ listen 127.0.0.1:{front};
  location /php/ {{ include {params}/fastcgi_params; fastcgi_param SCRIPT_FILENAME {dir}/app.php; fastcgi_pass 127.0.0.1:{php}; }}
  location /php-full/ {{ include {params}/fastcgi_params; fastcgi_param SCRIPT_FILENAME {dir}/app.php; fastcgi_pass 127.0.0.1:{php_full}; }}
  location /uwsgi/ {{ include {params}/uwsgi_params; uwsgi_pass 127.0.0.1:{uwsgi}; }}
  location /uwsgi-full/ {{ include {params}/uwsgi_params; uwsgi_pass 127.0.0.1:{uwsgi_full}; }}
 }}
}}
"""

FPM = """[global]
error_log = {dir}/fpm.log
daemonize = no
{user}
[www]
{user}
listen = 127.0.0.1:{php}
pm = static
pm.max_children = 4
[full]
{user}
listen = 127.0.0.1:{php_full}
pm = static
pm.max_children = 1
"""

PHP = r"""<?php
$what = basename(strtok($_SERVER['REQUEST_URI'], '?'));
if ($what === 'busy') { sleep(%d); }
if ($what === 'header') { header('X-Large: ' . str_repeat('x', 9000)); }
if ($what === 'status') { http_response_code(503); }
if ($what === 'missing') { http_response_code(404); }
if ($what === 'cut') { header('Content-Length: 500000'); echo str_repeat('y', 100000); while (ob_get_level()) ob_end_flush(); flush(); usleep(200000); }
if ($what === 'killed' || $what === 'cut') { exec('kill -9 ' . getmypid()); sleep(2); }
if ($what === 'large') { echo str_repeat('z', 300000); }
if ($what === 'post') { echo strlen(file_get_contents('php://input')); }
echo 'ok';
""" % BUSY_S

PYTHON = """import os, time
def application(environ, start):
    what = environ["REQUEST_URI"].split("?")[0].rsplit("/", 1)[1]
    fields = [("Content-Type", "text/plain")]
    if what == "busy": time.sleep(%d)
    if what == "killed": os.kill(os.getpid(), 9)
    if what == "header": fields.append(("X-Large", "x" * 9000))
    if what == "cut": fields.append(("Content-Length", "500000"))
    start({"status": "503 Service Unavailable", "missing": "404 Not Found"}.get(what, "200 OK"), fields)
    def body():
        yield b"ok" if what != "post" else str(len(environ["wsgi.input"].read())).encode()
        if what == "large": yield b"z" * 300000
        if what == "cut":
            yield b"y" * 100000
            time.sleep(0.2)
            os.kill(os.getpid(), 9)
    return body()
""" % BUSY_S

# target, causes that it may be told with (none: nothing is wrong)
CASES = [
    ("ok", ()), ("large", ()), ("post", ()), ("missing", ()),
    ("killed", ("closed-before-response", "reset-before-response")),
    ("cut", ("closed-mid-body",)),
    ("header", ("header-too-large",)),
    ("busy", ("response-timeout",)),
    ("status", ("upstream-error",)),
]


def ask(port, target, body=None):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        c.request("POST" if body else "GET", target, body=body, headers={"Host": "shop.example"})
        answer = c.getresponse()
        status = answer.status
        answer.read()
    except (http.client.HTTPException, OSError):
        status = None
    finally:
        c.close()
    return status


def explained(tool, line):
    done = subprocess.run([tool, "--explain", line], capture_output=True, text=True)
    return set(re.findall(r"^nginx says this of (\S+):", done.stdout, re.MULTILINE))


def logged(folder, target):
    with open(os.path.join(folder, "error.log"), encoding="utf-8", errors="replace") as f:
        return [line for line in f if " %s " % target in line and "[info]" not in line]


def judge(tap, tool, folder, incidents, target, causes):
    mine = [i for i in incidents if i["request"] and i["request"]["target"] == target]
    got = [i["cause"] for i in mine]
    if not causes:
        tap.ok(not mine, "%s: nothing is wrong, and nothing told" % target, got)
        return
    lines = logged(folder, target)
    said = set().union(*(explained(tool, line) for line in lines)) if lines else set()
    fine = len(got) == 1 and got[0] in causes
    agrees = not said or (bool(got) and got[0] in said)
    tap.ok(fine and agrees, "%s: %s%s" % (target, ", ".join(got) or "not told", ", as nginx's log has it" if said and agrees else ""),
           "wanted one of %s" % (causes,), "the log can be %s" % sorted(said), *lines, *([mine[0]["summary"]] if mine else []))
    advice = " ".join(mine[0]["advice"]) if mine else ""
    tap.ok("proxy_read_timeout" not in advice and "proxy_buffer_size" not in advice, "%s: settings are those of its module" % target, advice)


def run_cases(port, prefix):
    for what, _ in CASES:
        ask(port, "/%s/%s?a=1" % (prefix, what), body="x" * 20000 if what == "post" else None)


def fill_pool(port, prefix):
    """One worker is busy, so nobody takes the second request."""
    for i in range(3):
        ask(port, "/%s/ok?warm=%d" % (prefix, i))
    first = threading.Thread(target=ask, args=(port, "/%s/busy?first" % prefix))
    first.start()
    time.sleep(0.3)
    ask(port, "/%s/ok?waits" % prefix)
    first.join()


def start(programs, command, folder):
    with open(os.path.join(folder, "%s.out" % os.path.basename(command[0])), "a") as out:
        programs.append(subprocess.Popen(command, stdout=out, stderr=out, cwd=folder))


def servers(programs, folder, ports, tools):
    user = "user = nobody\ngroup = nogroup" if os.getuid() == 0 else ""
    for name, text in (("nginx.conf", NGINX.format(dir=folder, params="/etc/nginx", read=READ_S, **ports)), ("app.php", PHP), ("app.py", PYTHON),
                       ("fpm.conf", FPM.format(dir=folder, user=user, **ports).replace("[global]\nerror_log", "[global]\nerror_log").replace(
                           "daemonize = no\n" + user, "daemonize = no"))):
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
    os.chmod(folder, 0o755)
    run = []
    if tools["php"]:
        start(programs, [tools["php"], "-F", "-y", os.path.join(folder, "fpm.conf")] + (["-R"] if os.getuid() == 0 else []), folder)
        wait_for_port(ports["php"])
        run.append("php")
    if tools["uwsgi"]:
        common = [tools["uwsgi"], "--plugin", "python3", "--wsgi-file", os.path.join(folder, "app.py"), "--master", "--die-on-term", "--need-app", "--worker-reload-mercy", "1"]
        start(programs, common + ["--socket", "127.0.0.1:%d" % ports["uwsgi"], "--processes", "4"], folder)
        start(programs, common + ["--socket", "127.0.0.1:%d" % ports["uwsgi_full"], "--processes", "1"], folder)
        wait_for_port(ports["uwsgi"])
        wait_for_port(ports["uwsgi_full"])
        run.append("uwsgi")
    start(programs, [tools["nginx"], "-p", folder, "-c", os.path.join(folder, "nginx.conf")], folder)
    wait_for_port(ports["front"])
    return run


def tell(tap, tool, folder, ports, run, programs):
    s = Sniffer(tool, ports["front"], ports["php"], "-T", "json", more=[ports[n] for n in ("php_full", "uwsgi", "uwsgi_full")])
    for prefix in run:
        run_cases(ports["front"], prefix)
        fill_pool(ports["front"], prefix + "-full")
    for p in programs[:-1]:                             # all but nginx
        p.terminate()
        p.wait(10)
    for prefix in run:
        ask(ports["front"], "/%s/ok?gone" % prefix)
    time.sleep(0.7)
    status = s.stop(signal.SIGINT)
    try:
        report = json.loads("".join(s.out.all))
    except ValueError:
        tap.ok(False, "why502 sniffs", status, "".join(s.err.all))
        return
    incidents = report["incidents"]
    for prefix in run:
        for what, causes in CASES:
            judge(tap, tool, folder, incidents, "/%s/%s?a=1" % (prefix, what), causes)
        judge(tap, tool, folder, incidents, "/%s-full/ok?waits" % prefix, ("response-timeout", "accept-queue-overflow"))
        judge(tap, tool, folder, incidents, "/%s/ok?gone" % prefix, ("connection-refused",))


def main():
    keep = sys.argv[2] if sys.argv[1] == "--keep" else None
    tool = os.path.abspath(sys.argv[3 if keep else 1])
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    tools = {"nginx": shutil.which("nginx", path=path), "uwsgi": shutil.which("uwsgi-core", path=path) or shutil.which("uwsgi", path=path),
             "php": next((p for p in (shutil.which("php-fpm%s" % v, path=path) for v in ("", "8.2", "8.3", "8.4", "8.1", "7.4")) if p), None)}
    if not may_sniff():
        print("1..0 # SKIP sniffing is not permitted here")
        return 0
    if tools["nginx"] is None or not (tools["php"] or tools["uwsgi"]):
        print("1..0 # SKIP nginx, and php-fpm or uwsgi, are not all installed")
        return 0
    tap, programs = Tap(), []
    ports = {name: free_port() for name in ("front", "php", "php_full", "uwsgi", "uwsgi_full")}
    with tempfile.TemporaryDirectory(prefix="live") as folder:
        try:
            run = servers(programs, folder, ports, tools)
            tell(tap, tool, folder, ports, run, programs)
        finally:
            for p in reversed(programs):
                p.terminate()
            for p in programs:
                try:
                    p.wait(5)
                except subprocess.TimeoutExpired:
                    p.kill()
            if keep:
                shutil.copytree(folder, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("t[0-9]"))
    for name in ("php", "uwsgi"):
        if name not in run:
            tap.skip(name, "it is not installed")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
