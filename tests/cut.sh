#!/bin/sh
# Every fixture cut after every packet, and at small snaplens: see tests/cut.c.
set -u
srcdir=${srcdir:-$(dirname "$0")/..}
exec ./tests/cut "$srcdir"/tests/fixtures/*/*/capture.*
