#!/bin/sh
# Faults of the system while why502 runs: see tests/faults.py. WHY502_MOMENTS=1000 for more moments of signals.
exec "${PYTHON3:-python3}" "${srcdir:-$(dirname "$0")/..}/tests/faults.py" "${WHY502:-./why502}" \
    "${WHY502_FAULTY:-tests/why502_faults}" "${srcdir:-$(dirname "$0")/..}/tests/fixtures"
