#!/bin/sh
# why502 sniffs in a network namespace of its own: see tests/live_net.py.
exec "${PYTHON3:-python3}" "${srcdir:-$(dirname "$0")/..}/tests/live_net.py" "${WHY502:-./why502}"
