#!/bin/sh
# why502 sniffs beside gateways before TLS upstreams whose key log it follows: see tests/live_gateways.py.
exec "${PYTHON3:-python3}" "${srcdir:-$(dirname "$0")/..}/tests/live_gateways.py" "${WHY502:-./why502}" --scheme https nginx haproxy
