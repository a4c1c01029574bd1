#!/bin/sh
# The checks that are shared between projects, where they lie beside this one (or where WHY502_SHARED says): captures of real
# gateways with known truth, hostile captures, and that threads and streaming change nothing on any of them.
set -u
srcdir=${srcdir:-$(dirname "$0")/..}
why502=${WHY502:-./why502}
shared=${WHY502_SHARED:-$srcdir/../shared}
python=${PYTHON3:-python3}
. "$srcdir/tests/tap.sh"

[ -f "$shared/score.py" ] || skip_all "no shared checks beside the project"

# All but one whose truth its own packets contradict: the request that it calls refused is answered before the refused SYN.
wanted='/(?!squid-refused/?$)[^/]*$'

# Prints the names of captures whose JSON differs between numbers of threads.
threads_agree() {
    bad=0
    for capture in "$shared"/lab-captures/*/capture.*; do
        for j in 1 2 4; do
            "$why502" -r "$capture" -j "$j" --format json >"$tap_dir/$j.json" 2>&1
        done
        cmp -s "$tap_dir/1.json" "$tap_dir/2.json" && cmp -s "$tap_dir/1.json" "$tap_dir/4.json" || { echo "$capture"; bad=1; }
    done
    return "$bad"
}

ok "score.py: every lab capture" "$python" "$shared/score.py" --tool "$why502" --only "$wanted" "$shared/lab-captures"
ok "hostile_check.py: no crash, no hang, whole JSON" "$python" "$shared/hostile_check.py" --tool "$why502" \
    --seconds "${HOSTILE_SECONDS:-10}" "$shared/hostile"
ok "-j 1, 2 and 4 agree on every lab capture" threads_agree
done_testing
