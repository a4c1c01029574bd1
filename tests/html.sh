#!/bin/sh
# The HTML report in a browser: it says nothing on the console, asks for nothing, and whoever cannot see, click or run scripts can
# read it. Wants Chromium, Node, and playwright-core and axe-core of npm below $WHY502_NODE.
set -u
srcdir=${srcdir:-$(dirname "$0")/..}
. "$srcdir/tests/tap.sh"
modules=${WHY502_NODE:-$srcdir/variants/node}/node_modules

browser=$(command -v chromium || command -v chromium-headless-shell || command -v google-chrome) || skip_all "no Chromium"
command -v node >/dev/null || skip_all "no Node"
[ -d "$modules/playwright-core" ] || skip_all "no playwright-core below $modules (npm install --prefix)"
work=$(mktemp -d) || exit 99
"${PYTHON3:-python3}" "$srcdir/tests/storm.py" "$work" || exit 99
for name in hostile mixed none; do
    "${WHY502:-./why502}" --exit-zero -r "$work/$name.pcap" -o "$work/$name.html" --exchanges || exit 99
done
node "$srcdir/tests/html.mjs" "$(cd "$modules" && pwd)" "$browser" "$work"
status=$?
rm -rf "$work"
exit $status
