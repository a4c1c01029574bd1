#!/bin/sh
# What is inside TLS, as tshark has it: see tests/tls_wireshark.py.
exec "${PYTHON3:-python3}" "${srcdir:-$(dirname "$0")/..}/tests/tls_wireshark.py" "${WHY502:-./why502}" ./tests/test_tls
