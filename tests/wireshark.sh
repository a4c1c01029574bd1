#!/bin/sh
# why502's packet and connection numbers are Wireshark's: see tests/wireshark.py.
exec "${PYTHON3:-python3}" "${srcdir:-$(dirname "$0")/..}/tests/wireshark.py" "${WHY502:-./why502}" \
    "${srcdir:-$(dirname "$0")/..}/tests/fixtures"
