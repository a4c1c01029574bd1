#!/bin/sh
# Every fixture cut, short of a packet, out of order, in segments of one byte: see tests/cut.c.
set -u
srcdir=${srcdir:-$(dirname "$0")/..}
exec ./tests/cut "$srcdir"/tests/fixtures/*/*/capture.*
