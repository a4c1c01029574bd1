#!/bin/sh
# why502's packet and connection numbers are Wireshark's: see tests/wireshark.py.
srcdir=${srcdir:-$(dirname "$0")/..}
corpus=${WHY502_SHARED:-$srcdir/../shared}/corpus
[ -d "$corpus" ] || corpus=
exec "${PYTHON3:-python3}" "$srcdir/tests/wireshark.py" "${WHY502:-./why502}" "$srcdir/tests/fixtures" ${corpus:+"$corpus"}
