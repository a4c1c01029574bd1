#!/bin/sh
# why502 sniffs beside real gateways whose upstreams misbehave: see tests/live_gateways.py.
exec "${PYTHON3:-python3}" "${srcdir:-$(dirname "$0")/..}/tests/live_gateways.py" "${WHY502:-./why502}" "$@"
