#!/bin/sh
# Every format read by a reader that is not ours, what strangers may have sent, and size at 10,000 incidents.
set -u
srcdir=${srcdir:-$(dirname "$0")/..}
exec "${PYTHON3:-python3}" "$srcdir/tests/reports.py" "${WHY502:-./why502}"
