#!/bin/sh
# Fills the marked parts of the manual page with what why502 prints of itself.
#     docs/fill-manual.sh ./why502 docs/why502.1 > new
set -eu
why502=$1
while IFS= read -r line; do
    case $line in
    '.\" begin '[a-z]*)
        printf '%s\n' "$line"
        "$why502" --print-manual "${line#*begin }"
        skipping=yes
        ;;
    '.\" end '[a-z]*)
        printf '%s\n' "$line"
        skipping=
        ;;
    *)
        [ -n "${skipping-}" ] || printf '%s\n' "$line"
        ;;
    esac
done <"$2"
