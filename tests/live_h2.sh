#!/bin/sh
# why502 sniffs beside a gateway before HTTP/2 upstreams that break off, refuse, break the protocol or say nothing: see
# tests/live_gateways.py. Other gateways have these scenarios among all others in tests/live_gateways.sh.
exec "${PYTHON3:-python3}" "${srcdir:-$(dirname "$0")/..}/tests/live_gateways.py" "${WHY502:-./why502}" --scheme h2c nghttpx
