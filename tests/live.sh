#!/bin/sh
# why502 sniffs on loopback while a real nginx has trouble with its upstream: see tests/live.py.
exec "${PYTHON3:-python3}" "${srcdir:-$(dirname "$0")/..}/tests/live.py" "${WHY502:-./why502}"
