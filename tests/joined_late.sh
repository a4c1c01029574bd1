#!/bin/sh
# HTTP/2 captures that begin amid the connection: see tests/joined_late.py.
srcdir=${srcdir:-$(dirname "$0")/..}
exec "${PYTHON3:-python3}" "$srcdir/tests/joined_late.py" "${WHY502:-./why502}" "$srcdir"/tests/fixtures/*/*-h2-*/capture.*
