#!/bin/sh
# Verdicts stay honest when the capture is damaged: see tests/damage.c. Every fixture; where shared captures lie beside the
# project (or where WHY502_SHARED says) every one of those, too.
set -u
srcdir=${srcdir:-$(dirname "$0")/..}
shared=${WHY502_SHARED:-$srcdir/../shared}
set -- "$srcdir"/tests/fixtures/*/*/capture.*
[ ! -d "$shared/lab-captures" ] || set -- "$@" "$shared"/lab-captures/*/capture.*
exec ./tests/damage "$@"
