#!/usr/bin/env python3
"""reports.py WHY502: every format, read by a reader that is not ours; what strangers put into requests; size at 10,000 incidents.
Prints TAP."""
import base64
import hashlib
import html.parser
import json
import os
import re
import subprocess
import sys
import tempfile

import storm

MANY = 10500                    # more than are kept in full
HTML_BYTES_MAX = 2 << 20


class Tap:
    def __init__(self):
        self.n, self.failed = 0, False

    def ok(self, what, wrong):
        self.n += 1
        for line in wrong:
            print("#", line)
        print("%sok %d - %s" % ("not " if wrong else "", self.n, what), flush=True)
        self.failed |= bool(wrong)

    def skip(self, what, why):
        self.n += 1
        print("ok %d - %s # SKIP %s" % (self.n, what, why), flush=True)

    def done(self):
        print("1..%d" % self.n)
        return self.failed and "HARNESS_ACTIVE" not in os.environ


def run(tool, *arguments):
    done = subprocess.run([tool, *arguments], capture_output=True, timeout=120)
    if done.returncode not in (0, 1):
        raise ValueError("exit %d: %s" % (done.returncode, done.stderr.decode("utf-8", "replace")[:200]))
    return done.stdout


# ---- html -----------------------------------------------------------------------------------

class Page(html.parser.HTMLParser):
    """What a page is made of; `wrong` has what it should not be."""
    VOID = {"meta", "br", "path", "rect"}

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.wrong, self.open, self.ids, self.tags = [], [], set(), set()
        self.scripts, self.style, self.policy, self.heads = [], "", "", []
        self.feed(text)
        self.close()
        if self.open:
            self.wrong.append("never closed: %s" % self.open)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "src", "srcdoc", "action", "xlink:href"):
                self.wrong.append("attribute %s on %s" % (name, tag))
            if name == "href" and not (value or "").startswith("#"):
                self.wrong.append("href %r" % value)
            if name == "id":
                if value in self.ids:
                    self.wrong.append("id %s twice" % value)
                self.ids.add(value)
        given = dict(attrs)
        if tag == "meta" and given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag == "script":
            self.scripts.append([given.get("type"), ""])
        if re.fullmatch("h[1-6]", tag):
            self.heads.append(int(tag[1]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append("</%s> closes what is not open" % tag)

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1][1] += data
        if self.open and self.open[-1] == "style":
            self.style += data

    def handle_comment(self, data):
        self.wrong.append("a comment: %.40r" % data)


def digest(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def page_wrong(data):
    text = data.decode("utf-8")
    page = Page(text)
    wrong = list(page.wrong)
    programs = [body for kind, body in page.scripts if kind is None]
    reports = [body for kind, body in page.scripts if kind == "application/json"]
    if len(programs) != 1 or len(reports) != 1:
        wrong.append("%d scripts and %d reports" % (len(programs), len(reports)))
    for what in ("default-src 'none'", "script-src '%s'" % digest(programs[0]), "style-src '%s'" % digest(page.style)):
        if what not in page.policy:
            wrong.append("the policy lacks %s" % what)
    if "<" in reports[0]:
        wrong.append("the report within holds <")
    if json.loads(reports[0])["schema"] != 1:
        wrong.append("the report within has another schema")
    if page.tags & {"img", "iframe", "object", "embed", "base", "form", "link", "a:href", "textarea"}:
        wrong.append("tags: %s" % sorted(page.tags))
    if any(b - a > 1 for a, b in zip(page.heads, page.heads[1:])) or page.heads[:1] != [1]:
        wrong.append("headings jump: %s" % page.heads)
    if re.search(r"https?://", text.replace("http://www.w3.org/2000/svg", "")) and "evil" not in text:
        wrong.append("a URL")
    return wrong


def html_format(tap, tool, hostile, many):
    tap.ok("html: a page without an incident", page_wrong(run(tool, "-r", many["none"], "-T", "html")))
    tap.ok("html: what strangers sent is text", page_wrong(run(tool, "-r", hostile, "-T", "html", "--top", "1000", "--exchanges")))
    data = run(tool, "-r", many["many"], "-T", "html", "--top", "1000000", "--exchanges")
    size = [] if len(data) < HTML_BYTES_MAX else ["%d bytes" % len(data)]
    tap.ok("html: 10,000 incidents, below 2 MB", page_wrong(data) + size)
    long_ = run(tool, "-r", many["long"], "-T", "html", "--top", "1000000", "--exchanges")
    tap.ok("html: long targets, below 2 MB", [] if len(long_) < HTML_BYTES_MAX else ["%d bytes" % len(long_)])


def assets(tap, here):
    made = subprocess.run([sys.executable, os.path.join(here, "report/html/embed.py")], capture_output=True, check=True).stdout
    with open(os.path.join(here, "report/html_assets.h"), "rb") as f:
        tap.ok("html: style and script are those of report/html", [] if f.read() == made else ["run report/html/embed.py > report/html_assets.h"])


# ---- all ------------------------------------------------------------------------------------

def secrets(tap, tool, formats, hostile):
    for name in formats:
        data = run(tool, "-r", hostile, "-T", name, "--top", "1000")
        found = set(re.findall(rb"s3cret-\w+", data))
        tap.ok("%s: no secret" % name, ["%s" % sorted(found)] if found else [])


def main():
    tool = os.path.abspath(sys.argv[1])
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        hostile = os.path.join(folder, "hostile.pcap")
        many = {name: os.path.join(folder, name + ".pcap") for name in ("none", "many", "long")}
        storm.write(hostile, storm.hostile())
        storm.write(many["none"], [])
        storm.write(many["many"], [storm.Failure(target=b"/item/%d" % n, upstream=1 + n % 200) for n in range(MANY)])
        storm.write(many["long"], [storm.Failure(target=b"/" + b"<\xff&" * 2000, upstream=1 + n) for n in range(200)])
        html_format(tap, tool, hostile, many)
        assets(tap, here)
        secrets(tap, tool, ("text", "line", "json", "ndjson", "html"), hostile)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
