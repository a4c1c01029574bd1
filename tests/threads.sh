#!/bin/sh
# The report does not depend on the number of threads: the same JSON, byte for byte, with -j 1, 2 and 4.
set -u
srcdir=${srcdir:-$(dirname "$0")/..}
why502=${WHY502:-./why502}
. "$srcdir/tests/tap.sh"

judge() {
    "$why502" -r "$2" -j "$1" --format json --exchanges >"$tap_dir/$1.json" 2>"$tap_dir/$1.err"
    status=$?
    [ "$status" -le 1 ] || { cat "$tap_dir/$1.err"; return 1; }
}

same() {
    judge 1 "$1" && judge 2 "$1" && judge 4 "$1" && cmp "$tap_dir/1.json" "$tap_dir/2.json" && cmp "$tap_dir/1.json" "$tap_dir/4.json"
}

for capture in "$srcdir"/tests/fixtures/*/*/capture.*; do
    folder=${capture%/*}
    ok "${folder#"$srcdir"/tests/fixtures/}: -j 1, 2 and 4 agree" same "$capture"
done
done_testing
