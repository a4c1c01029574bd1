#!/bin/sh
# What the sandbox forbids, what it leaves, and what is said where it cannot be had: tests/sandbox.py.
exec "${PYTHON3:-python3}" "${srcdir:-$(dirname "$0")/..}/tests/sandbox.py" "${WHY502:-./why502}" \
    "${srcdir:-$(dirname "$0")/..}/tests/fixtures"
