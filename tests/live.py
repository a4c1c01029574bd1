#!/usr/bin/env python3
"""live.py WHY502: nginx on loopback before an upstream that resets; why502 -i lo says so while it happens. Prints TAP."""
import http.client
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from tap import Tap

HERE = os.path.dirname(os.path.abspath(__file__))
WITHIN_S = 1.0                  # from the client's answer to the printed incident
START_S = 10.0

NGINX = """worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log info;
events {{ worker_connections 64; }}
http {{
 access_log off;
 client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
 scgi_temp_path {dir}/t5;
 server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://127.0.0.1:{back}; }} }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def may_sniff():
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3)).close()
        return True
    except (PermissionError, OSError):
        return False


def wait_for_port(port):
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("nothing listens on port %d" % port)


class Reader(threading.Thread):
    """Lines of a pipe as they come, each with its time."""

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self.pipe, self.lines, self.all = pipe, queue.Queue(), []
        self.start()

    def run(self):
        for line in self.pipe:
            self.all.append(line)
            self.lines.put((time.monotonic(), line))

    def find(self, text, seconds):
        """Time and line of the first one with text in it, or (None, "")."""
        end = time.monotonic() + seconds
        while True:
            try:
                at, line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return None, ""
            if text in line:
                return at, line


class Sniffer:
    def __init__(self, tool, front, back, *options, more=()):
        ports = " or ".join("port %d" % port for port in (front, back, *more))
        self.process = subprocess.Popen([tool, "-i", "lo", *options, *ports.split()],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.out, self.err = Reader(self.process.stdout), Reader(self.process.stderr)
        self.wait_until_open()

    def wait_until_open(self):
        """It has its packet socket: /proc says so, whatever it prints."""
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            with open("/proc/net/packet") as file:
                inodes = {line.split()[8] for line in file.readlines()[1:]}
            folder = "/proc/%d/fd" % self.process.pid
            try:
                links = [os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder)]
            except OSError:
                links = []
            if any(link == "socket:[%s]" % i for link in links for i in inodes):
                time.sleep(0.2)
                return
            time.sleep(0.02)

    def stop(self, how):
        self.process.send_signal(how)
        try:
            status = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "killed: it went on after signal %d" % how
        self.out.join(2)
        self.err.join(2)
        return status


def ask(port, target):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    c.request("GET", target, headers={"Host": "shop.example"})
    answer = c.getresponse()
    answer.read()
    status, at = answer.status, time.monotonic()
    c.close()
    return status, at


def incident_while_it_happens(tap, tool, front, back):
    s = Sniffer(tool, front, back)
    status, answered = ask(front, "/fails")
    tap.ok(status == 502, "nginx answers 502", status)
    at, line = s.out.find("reset-before-response", 5)
    tap.ok(at is not None and "502" in line, "the incident is printed with its cause", "".join(s.out.all), "".join(s.err.all))
    tap.ok(at is not None and at - answered < WITHIN_S, "within a second", at and at - answered)
    status = s.stop(signal.SIGINT)
    tap.ok(status == 1, "SIGINT ends it with the status of a report with incidents", status, "".join(s.err.all))


def report_at_the_end(tap, tool, front, back, how, name):
    s = Sniffer(tool, front, back, "-T", "json")
    ask(front, "/fails?again")
    ask(front, "/ok")
    time.sleep(0.5)
    status = s.stop(how)
    try:
        report = json.loads("".join(s.out.all))
        causes = [i["cause"] for i in report["incidents"]]
        fine = causes == ["reset-before-response"] and report["totals"]["requests"] == 2 and status == 1
    except (ValueError, KeyError) as e:
        report, fine = e, False
    tap.ok(fine, "%s ends it with the report" % name, status, report, "".join(s.err.all))


def main():
    tool = sys.argv[1]
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not may_sniff():
        print("1..0 # SKIP sniffing is not permitted here")
        return 0
    if nginx is None:
        print("1..0 # SKIP nginx is not installed")
        return 0
    tap, front, back, started = Tap(), free_port(), free_port(), []
    with tempfile.TemporaryDirectory(prefix="live") as folder:
        try:
            with open(os.path.join(folder, "nginx.conf"), "w") as file:
                file.write(NGINX.format(dir=folder, front=front, back=back))
            os.chmod(folder, 0o755)
            started.append(subprocess.Popen([sys.executable, os.path.join(HERE, "lab", "upstream.py"), "127.0.0.1:%d" % back, "reset"],
                                            stdout=subprocess.DEVNULL))
            started.append(subprocess.Popen([nginx, "-p", folder, "-c", os.path.join(folder, "nginx.conf")], stderr=subprocess.DEVNULL))
            wait_for_port(back)
            wait_for_port(front)
            incident_while_it_happens(tap, tool, front, back)
            report_at_the_end(tap, tool, front, back, signal.SIGINT, "SIGINT")
            report_at_the_end(tap, tool, front, back, signal.SIGTERM, "SIGTERM")
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
