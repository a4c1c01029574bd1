#!/bin/sh
# Captures of the lab amid healthy traffic give what they give alone: see tests/background.py. Thirty of them here, beside the
# exchanges of some minutes; `make background` takes all and a million.
src=${srcdir:-$(dirname "$0")/..}
shared=${WHY502_SHARED:-$src/../shared}
if "${WHY502:-./why502}" --version | grep -q 'off by default in this build'; then
    echo "1..0 # SKIP a build with sanitizers: too slow"
    exit 0
fi
exec "${PYTHON3:-python3}" "$src/tests/background.py" "${WHY502:-./why502}" "$shared" --exchanges 60000 --captures 30 --seed 5
