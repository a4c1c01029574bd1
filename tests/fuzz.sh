#!/bin/sh
# Each fuzz target over its kept corpus: what was found once is not found again.
# shellcheck source=tests/tap.sh
. "${srcdir:-$(dirname "$0")/..}/tests/tap.sh"
src=${srcdir:-$(dirname "$0")/..}
[ -x fuzz/fuzz_packet ] || skip_all "no fuzz targets were built"

for corpus in "$src"/fuzz/corpus/*; do
    name=${corpus##*/}
    ok "fuzz_$name: $(find "$corpus" -type f | wc -l) inputs" "fuzz/fuzz_$name" "$corpus"/*
done
done_testing
