#!/bin/sh
# Each allocation fails once, in every fixture, by one thread and by two; with the lab's captures also HTTP/2 and TLS with keys.
src=${srcdir:-$(dirname "$0")/..}
lab=${WHY502_SHARED:-$src/../shared}/lab-captures
bin=${MALLOC_FAIL:-tests/malloc_fail}
n=0
# run OPTIONS... CAPTURE: one line of TAP
run() {
    n=$((n + 1))
    HARNESS_ACTIVE='' "$bin" "$@" >malloc_fail.$$.out 2>&1
    status=$?
    grep '^#' malloc_fail.$$.out
    [ "$status" -eq 0 ] || { grep -v '^#' malloc_fail.$$.out | sed 's/^/# /'; printf 'not '; }
    echo "ok $n - each allocation fails: $*"
    rm -f malloc_fail.$$.out
}
for capture in "$src"/tests/fixtures/*/nginx-*/capture.*; do
    run "$capture"
done
run -j 2 "$src"/tests/fixtures/keepalive-race/nginx-keepalive-race/capture.pcapng
run -j 2 "$src"/tests/fixtures/healthy/nginx-healthy/capture.pcapng
for name in nginx-tls-response-timeout apache-healthy-tls; do
    for capture in "$lab/$name"/capture.pcap*; do
        [ -f "$capture" ] && run -k "$lab/$name/keys.log" "$capture"
    done
done
for name in apache-h2-ok apache-h2-reset-internal-error apache-h2-to-http1; do
    for capture in "$lab/$name"/capture.pcap*; do
        [ -f "$capture" ] && run "$capture"
    done
done
echo "1..$n"
