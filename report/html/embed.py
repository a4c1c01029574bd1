#!/usr/bin/env python3
"""Makes report/html_assets.h of page.css and page.js, with the hashes that the page's Content-Security-Policy names.

    report/html/embed.py > report/html_assets.h
"""
import base64
import hashlib
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))


def smaller(text):
    """Comments of their own, indentation and empty lines take room in every report."""
    text = re.sub(r"^\s*/\*.*?\*/\s*$", "", text, flags=re.M)
    return "".join(line.strip() + "\n" for line in text.split("\n") if line.strip())


def literal(line):
    return '"%s\\n"' % line.replace("\\", "\\\\").replace('"', '\\"').replace("??", "?\\?")


def pieces(line, most=2000):
    """A string of C may be 4,095 bytes long (C17 5.2.4.1)."""
    while line:
        yield line[:most]
        line = line[most:]


def asset(name, text):
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    print("#define HTML_%s_SHA256 \"sha256-%s\"" % (name.upper(), digest))
    print("static const char *const html_%s[] = {" % name)
    for line in text.split("\n")[:-1]:
        parts = list(pieces(line))
        for i, part in enumerate(parts):
            end = literal(part) if i == len(parts) - 1 else literal(part)[:-3] + '"'
            print("\t%s," % end)
    print("};")


print("/* html_assets.h - the page's style and script, from report/html/ by embed.py: change them there */")
print("#ifndef WHY502_HTML_ASSETS_H")
print("#define WHY502_HTML_ASSETS_H\n")
for name, path in (("style", "page.css"), ("script", "page.js")):
    with open(os.path.join(HERE, path), encoding="utf-8") as f:
        asset(name, smaller(f.read()))
    print()
print("#endif")
