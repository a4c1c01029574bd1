#!/bin/sh
# Each fuzz target for some seconds from the kept corpus, as many at a time as there are processors.
#
#     fuzz/run.sh SECONDS KEPT-CORPUS       in a folder that was configured with --enable-fuzz
#
# Says for each how many inputs it ran. What it found lies in found/, and how in logs/; the corpus grows in grown/.
set -u
seconds=$1 kept=$2
mkdir -p found grown logs

# shellcheck disable=SC2016 # for the shells that xargs starts
for target in fuzz/fuzz_*; do [ -f "$target" ] && [ -x "$target" ] && echo "${target#fuzz/fuzz_}"; done |
    xargs -P "$(nproc)" -I NAME sh -c '
        mkdir -p grown/NAME
        "fuzz/fuzz_NAME" -max_total_time="$1" -timeout=20 -rss_limit_mb=3000 -max_len=8192 -artifact_prefix=found/NAME- \
            -print_final_stats=1 grown/NAME "$2/NAME" >logs/NAME 2>&1 || touch logs/NAME.failed' sh "$seconds" "$kept"

failed=0
for log in logs/*; do
    name=${log#logs/}
    case $name in *.failed) continue ;; esac
    if [ -e "$log.failed" ]; then
        echo "fuzz_$name: $(grep -m1 -E 'ERROR|runtime error|deadly signal|SUMMARY' "$log")"
        tail -n 40 "$log"
        failed=1
    else
        echo "fuzz_$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
    fi
done
rm -f logs/*.failed
exit $failed
