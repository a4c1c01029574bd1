#!/bin/sh
# -w and --write-each: packets out again, read by a reader that is not ours, by tshark, and by why502 itself.
set -u
srcdir=${srcdir:-$(dirname "$0")/..}
exec "${PYTHON3:-python3}" "$srcdir/tests/extract.py" "${WHY502:-./why502}"
