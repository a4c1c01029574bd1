#!/bin/sh
# The same traffic in every form gives the same report: link layers, tunnels, compression, pipes, several files, several taps.
set -u
srcdir=${srcdir:-$(dirname "$0")/..}
exec "${PYTHON3:-python3}" "$srcdir/tests/inputs.py" "${WHY502:-./why502}" "$srcdir" "${WHY502_SHARED:-$srcdir/../shared}"
