#!/bin/sh
# why502's report on each capture of tests/fixtures against its expected.json and against --print-schema.
exec "${PYTHON3:-python3}" "${srcdir:-$(dirname "$0")/..}/tests/fixtures.py" "${WHY502:-./why502}" \
    "${srcdir:-$(dirname "$0")/..}/tests/fixtures"
