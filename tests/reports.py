#!/usr/bin/env python3
"""reports.py WHY502: every format, read by a reader that is not ours; what strangers put into requests; size at 10,000 incidents.
Prints TAP."""
import base64
import collections
import csv
import hashlib
import html.parser
import io
import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

import storm
from tap import Tap

try:
    import jsonschema
except ImportError:
    jsonschema = None
sys.path.append("/usr/lib/python3/dist-packages")       # Debian's, where python3 is another
try:
    import prometheus_client.parser as prometheus_parser
except ImportError:
    prometheus_parser = None

MANY = 10500                    # more than are kept in full
HTML_BYTES_MAX = 2 << 20
FORMATS = ("text", "line", "json", "ndjson", "html", "markdown", "csv", "ecs", "otlp", "har", "prom")


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
    tap.none("html: a page without an incident", page_wrong(run(tool, "-r", many["none"], "-T", "html")))
    tap.none("html: what strangers sent is text", page_wrong(run(tool, "-r", hostile, "-T", "html", "--top", "1000", "--exchanges")))
    data = run(tool, "-r", many["many"], "-T", "html", "--top", "1000000", "--exchanges")
    size = [] if len(data) < HTML_BYTES_MAX else ["%d bytes" % len(data)]
    tap.none("html: 10,000 incidents, below 2 MB", page_wrong(data) + size)
    long_ = run(tool, "-r", many["long"], "-T", "html", "--top", "1000000", "--exchanges")
    tap.none("html: long targets, below 2 MB", [] if len(long_) < HTML_BYTES_MAX else ["%d bytes" % len(long_)])


def assets(tap, here):
    made = subprocess.run([sys.executable, os.path.join(here, "report/html/embed.py")], capture_output=True, check=True).stdout
    with open(os.path.join(here, "report/html_assets.h"), "rb") as f:
        tap.none("html: style and script are those of report/html", [] if f.read() == made else ["run report/html/embed.py > report/html_assets.h"])


# ---- JSON of all kinds ------------------------------------------------------------------------

def no_pair_twice(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name twice: %s" % sorted(names))
    return dict(pairs)


def no_constant(text):
    raise ValueError("constant %s" % text)


def strict(text):
    return json.loads(text, object_pairs_hook=no_pair_twice, parse_constant=no_constant)


def lines(data):
    return [strict(line) for line in data.decode("utf-8").splitlines()]


# Of the schema's fields (8.11), those that are used; the reference names their types.
ECS = {"@timestamp": str, "message": str, "ecs": {"version": str}, "log": {"level": str},
       "event": {"kind": str, "category": list, "type": list, "outcome": str, "module": str, "dataset": str, "id": str, "code": str, "reason": str},
       "error": {"type": str, "message": str}, "http": {"version": str, "request": {"method": str}, "response": {"status_code": int}},
       "url": {"domain": str, "original": str, "path": str, "query": str}, "network": {"transport": str, "protocol": str},
       "observer": {"vendor": str, "type": str, "version": str}, "why502": dict,
       **{end: {"ip": "ip", "address": str, "port": int} for end in ("client", "source", "server", "destination")}}


def unlike(value, kind, name):
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            return ["%s is no object" % name]
        return [w for k, v in value.items() for w in (unlike(v, kind[k], name + "." + k) if k in kind else ["%s.%s is no field" % (name, k)])]
    if kind == "ip":
        ipaddress.ip_address(value)
        return []
    return [] if isinstance(value, kind) else ["%s is %r" % (name, value)]


def ecs_wrong(docs):
    wrong = [w for doc in docs for w in unlike(doc, ECS, "")]
    return wrong + ["no %s" % name for doc in docs for name in ("@timestamp", "ecs", "message") if name not in doc]


VALUE = {"oneOf": [{"type": "object", "additionalProperties": False, "required": [name], "properties": {name: kind}} for name, kind in (
    ("stringValue", {"type": "string"}), ("intValue", {"type": "string", "pattern": "^-?[0-9]+$"}), ("boolValue", {"type": "boolean"}),
    ("arrayValue", {"type": "object", "properties": {"values": {"type": "array", "items": {"$ref": "#/$defs/value"}}}}))]}
ATTRIBUTES = {"type": "array", "items": {"type": "object", "additionalProperties": False, "required": ["key", "value"],
                                         "properties": {"key": {"type": "string"}, "value": {"$ref": "#/$defs/value"}}}}


def shape(**properties):
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def many_of(kind):
    return {"type": "array", "minItems": 1, "items": kind}


NANOSECONDS = {"type": "string", "pattern": "^[0-9]+$"}
OTLP = dict(shape(resourceLogs=many_of(shape(
    resource=shape(attributes=ATTRIBUTES),
    scopeLogs=many_of(shape(scope=shape(name={"type": "string"}, version={"type": "string"}), logRecords=many_of(shape(
        timeUnixNano=NANOSECONDS, observedTimeUnixNano=NANOSECONDS, severityNumber={"const": 17}, severityText={"type": "string"},
        body={"$ref": "#/$defs/value"}, attributes=ATTRIBUTES))))))), **{"$defs": {"value": VALUE}})

TEXT, COUNT, TIME = {"type": "string"}, {"type": "integer", "minimum": -1}, {"type": "number", "minimum": -1}
PAIRS = {"type": "array", "items": shape(name=TEXT, value=TEXT)}
HAR = shape(log=shape(version={"const": "1.2"}, creator=shape(name=TEXT, version=TEXT), entries={"type": "array", "items": dict(shape(
    startedDateTime={"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$"}, time=TIME,
    request=shape(method=TEXT, url=TEXT, httpVersion=TEXT, cookies=PAIRS, headers=PAIRS, queryString=PAIRS, headersSize=COUNT, bodySize=COUNT),
    response=shape(status=COUNT, statusText=TEXT, httpVersion=TEXT, cookies=PAIRS, headers=PAIRS, content=shape(size=COUNT, mimeType=TEXT),
                   redirectURL=TEXT, headersSize=COUNT, bodySize=COUNT),
    cache=shape(), timings=shape(send=TIME, wait=TIME, receive=TIME), serverIPAddress=TEXT, connection=TEXT, comment=TEXT),
    additionalProperties=False, patternProperties={"^_": {}})}))


def against(schema, docs):
    if jsonschema is None:
        return []
    check = jsonschema.Draft202012Validator(schema)
    return ["%s: %.200s" % (list(e.absolute_path), e.message) for doc in docs for e in check.iter_errors(doc)]


def har_wrong(doc):
    wrong = against(HAR, [doc])
    for e in doc["log"]["entries"]:
        if abs(e["time"] - sum(v for v in e["timings"].values() if v > 0)) > 1e-3:
            wrong.append("%s: time %s is not the sum of %s" % (e["request"]["url"][:60], e["time"], e["timings"]))
    return wrong


def json_formats(tap, tool, capture, incidents, name):
    told = lines(run(tool, "-r", capture, "-T", "ndjson"))
    count = [d["type"] for d in told].count("incident")
    tap.none("ndjson: %s, a line an incident" % name, [] if count == incidents else ["%d lines" % count])
    docs = lines(run(tool, "-r", capture, "-T", "ecs"))
    tap.none("ecs: %s, fields of the schema" % name, ecs_wrong(docs) + ([] if len(docs) == incidents else ["%d lines" % len(docs)]))
    docs = lines(run(tool, "-r", capture, "-T", "otlp"))
    tap.none("otlp: %s, logs data" % name, against(OTLP, docs) + ([] if len(docs) == incidents else ["%d lines" % len(docs)]))
    doc = strict(run(tool, "-r", capture, "-T", "har"))
    sides = [e["_side"] for e in doc["log"]["entries"]]
    clients = sides.count("client")          # one of the hostile asks in a way that is no request
    tap.none("har: %s, an archive 1.2" % name, har_wrong(doc) + ([] if incidents - 1 <= clients <= incidents else ["%d clients" % clients]))


# ---- csv, markdown, prom -----------------------------------------------------------------------

def csv_wrong(data, incidents):
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))
    wrong = ["a row of %d cells" % len(row) for row in rows if len(row) != len(rows[0])]
    wrong += ["a formula: %.60s" % cell for row in rows for cell in row if cell[:1] in tuple("=+-@\t\r") and cell]
    return wrong + ([] if len(rows) == incidents + 1 else ["%d rows" % len(rows)])


def markdown_wrong(data):
    done = subprocess.run(["cmark-gfm", "--to", "xml", "--unsafe", "-e", "table", "-e", "autolink", "-e", "strikethrough", "-e", "tagfilter"],
                          input=data, capture_output=True, check=True)
    tree = xml.etree.ElementTree.fromstring(done.stdout)
    found, wrong = collections.Counter(), []
    for node in tree.iter():
        kind = node.tag.split("}")[-1]
        found[kind] += 1
        if kind in ("link", "image", "html_block", "html_inline", "block_quote", "strikethrough"):
            wrong.append("%s: %.80s" % (kind, "".join(node.itertext()) or node.attrib))
        if kind == "text" and re.search(r"@|https?:|www\.", node.text or ""):
            wrong.append("a mention or a URL: %.80s" % node.text)
    for table in (node for node in tree.iter() if node.tag.endswith("}table")):
        if len({len(row) for row in table}) != 1:
            wrong.append("rows of a table have unlike numbers of cells")
    return wrong + ([] if found["table"] == 2 or found["heading"] < 3 else ["%d tables" % found["table"]])


def prom_wrong(data):
    families = list(prometheus_parser.text_string_to_metric_families(data.decode("utf-8")))
    samples = [(s.name, tuple(sorted(s.labels.items()))) for f in families for s in f.samples]
    wrong = ["%s twice" % (s,) for s, n in collections.Counter(samples).items() if n > 1]
    return wrong + (["%d series" % len(samples)] if len(samples) > 12000 else [])


def total(data):
    return sum(s.value for f in prometheus_parser.text_string_to_metric_families(data.decode("utf-8")) for s in f.samples
               if s.name in ("why502_incidents_total", "why502_incidents_cut_total"))


def other_formats(tap, tool, capture, incidents, name):
    tap.none("csv: %s, all rows alike and no formula" % name, csv_wrong(run(tool, "-r", capture, "-T", "csv"), incidents))
    if shutil.which("cmark-gfm"):
        tap.none("markdown: %s, no link, image, HTML or mention" % name, markdown_wrong(run(tool, "-r", capture, "-T", "md", "--top", "1000")))
    else:
        tap.skip("markdown: %s" % name, "no cmark-gfm")
    data = run(tool, "-r", capture, "-T", "prom")
    if prometheus_parser:
        tap.none("prom: %s, no series twice" % name, prom_wrong(data))
    else:
        tap.skip("prom: %s" % name, "no python3-prometheus-client")
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=data, capture_output=True)
        tap.none("prom: %s, promtool" % name, done.stderr.decode().splitlines())


def one_pass(tap, tool, capture, folder):
    """Every format at once says what each says alone."""
    names = ("txt", "json", "ndjson", "html", "md", "csv", "ecs", "otlp", "har", "prom")
    files = {name: os.path.join(folder, "all." + name) for name in names}
    run(tool, "-r", capture, *(word for path in files.values() for word in ("-o", path)))
    wrong = []
    for name, path in files.items():
        with open(path, "rb") as f:
            data = f.read()
        if data != run(tool, "-r", capture, "-T", name, "-o", "-"):
            wrong.append("%s differs" % name)
        if os.stat(path).st_mode & 0o777 != 0o600:
            wrong.append("%s: mode %o" % (name, os.stat(path).st_mode))
    tap.none("ten files in one pass, as each alone, and nobody else's to read", wrong)


def narrowed(tap, tool, capture):
    """--cause, --fault, --min-confidence, --status, --since: every format tells the same incidents."""
    for what, options in (("--cause", ["--cause", "connection-refused"]), ("two causes", ["--cause", "connection-refused,closed-before-response"]),
                          ("--fault", ["--fault", "upstream,network"]), ("--fault of none", ["--fault", "client"]),
                          ("--min-confidence", ["--min-confidence", "high"]), ("--status", ["--status", "504"]), ("--since", ["--since", "+8s"])):
        report = json.loads(run(tool, "-r", capture, "-T", "json", *options))
        n = report["totals"]["incidents"]
        counts = {"json": len(report["incidents"]), "groups": sum(g["count"] for g in report["groups"]),
                  "by cause": sum(report["totals"]["by_cause"].values()), "by status": sum(report["totals"]["by_status"].values()),
                  "csv": run(tool, "-r", capture, "-T", "csv", *options).count(b"\n") - 1,
                  "line": len(run(tool, "-r", capture, "-T", "line", *options).splitlines()),
                  "html": len(re.findall(rb"<tr data-bin=", run(tool, "-r", capture, "-T", "html", *options)))}
        for name in ("ecs", "otlp"):
            counts[name] = len(run(tool, "-r", capture, "-T", name, *options).splitlines())
        wrong = ["%s: %d, not %d" % (name, k, n) for name, k in counts.items() if k != n]
        status = subprocess.run([tool, "-r", capture, "-T", "json", *options], stdout=subprocess.DEVNULL).returncode
        if status != (n > 0):
            wrong.append("exit %d" % status)
        if options[0] == "--cause" and set(report["totals"]["by_cause"]) - set(options[1].split(",")):
            wrong.append("others: %s" % report["totals"]["by_cause"])
        tap.none("%s narrows every format alike (%d incidents)" % (what, n), wrong)


# ---- all ------------------------------------------------------------------------------------

def secrets(tap, tool, formats, hostile):
    for name in formats:
        data = run(tool, "-r", hostile, "-T", name, "--top", "1000")
        found = set(re.findall(rb"s3cret-\w+", data))
        tap.none("%s: no secret" % name, ["%s" % sorted(found)] if found else [])


def grouped(tap, tool, mixed):
    """--group: each incident in one group, with the others that are like it in this, and no more said than is true of all."""
    of = {"cause": lambda i: None, "upstream": lambda i: i["upstream"],
          "route": lambda i: i["request"] and (i["request"]["method"], i["request"]["authority"], i["request"]["target"].partition("?")[0]),
          "client": lambda i: i["client_exchange"] and i["client_exchange"]["client"].rpartition(":")[0]}
    wrong = []
    for key, value in of.items():
        told = json.loads(run(tool, "-r", mixed, "-T", "json", "--group", key))
        by_id = {i["id"]: i for i in told["incidents"]}
        want = collections.Counter((i["cause"], value(i)) for i in told["incidents"])
        have = {}
        for group in told["groups"]:
            members = [by_id[n] for n in group["incidents"]]
            have[(group["cause"], value(members[0]))] = group["count"]
            if group["upstream"] not in ({i["upstream"] for i in members} if len({i["upstream"] for i in members}) == 1 else {None}):
                wrong.append("%s: upstream of group %d" % (key, group["id"]))
        if have != want:
            wrong.append("%s: %s, wanted %s" % (key, have, dict(want)))
    tap.none("--group: cause, upstream, route, client", wrong)


def main():
    tool = os.path.abspath(sys.argv[1])
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        hostile = os.path.join(folder, "hostile.pcap")
        many = {name: os.path.join(folder, name + ".pcap") for name in ("none", "many", "long", "mixed")}
        storm.write(hostile, storm.hostile())
        storm.write(many["none"], [])
        storm.write(many["many"], [storm.Failure(target=b"/item/%d" % n, upstream=1 + n % 200) for n in range(MANY)])
        storm.write(many["long"], [storm.Failure(target=b"/" + b"<\xff&" * 2000, upstream=1 + n) for n in range(200)])
        html_format(tap, tool, hostile, many)
        assets(tap, here)
        storm.write(many["mixed"], storm.mixed(), gap_ms=300)
        for name, path, n in (("hostile", hostile, len(storm.hostile())), ("mixed", many["mixed"], len(storm.mixed())), ("nothing", many["none"], 0)):
            json_formats(tap, tool, path, n, name)
            other_formats(tap, tool, path, n, name)
        if prometheus_parser:
            data = run(tool, "-r", many["many"], "-T", "prom")
            tap.none("prom: 10,500 incidents, all counted", prom_wrong(data) + ([] if total(data) == MANY else ["%d" % total(data)]))
        one_pass(tap, tool, many["mixed"], folder)
        narrowed(tap, tool, many["mixed"])
        grouped(tap, tool, many["mixed"])
        secrets(tap, tool, FORMATS, hostile)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
