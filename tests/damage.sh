#!/bin/sh
# Verdicts stay honest when the capture is damaged: see tests/damage.c. Every fixture; where shared captures lie beside the
# project (or where WHY502_SHARED says) every one of those, too. A build with sanitizers is some 30 times slower: it takes
# every tenth, unless WHY502_ALL is set.
set -u
srcdir=${srcdir:-$(dirname "$0")/..}
why502=${WHY502:-./why502}
shared=${WHY502_SHARED:-$srcdir/../shared}
every=1
if [ -z "${WHY502_ALL:-}" ] && "$why502" --version | grep -q 'off by default in this build'; then every=10; fi
set -- "$srcdir"/tests/fixtures/*/*/capture.*
n=0
if [ -d "$shared/lab-captures" ]; then
    for capture in "$shared"/lab-captures/*/capture.*; do
        n=$((n + 1))
        [ $((n % every)) -ne 0 ] || set -- "$@" "$capture"
    done
fi
exec ./tests/damage "$@"
