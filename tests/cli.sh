#!/bin/sh
# The command line as a user meets it: errors of one line, exit statuses, outputs, signals.
# shellcheck source=tests/tap.sh
. "${srcdir:-$(dirname "$0")/..}/tests/tap.sh"

why502=${WHY502:-./why502}
src=${srcdir:-$(dirname "$0")/..}
work=$tap_dir/work
mkdir "$work"

# A pcap of Ethernet (µs, little-endian) without a packet, one cut within its only packet, and what is no capture.
printf '\324\303\262\241\002\000\004\000\000\000\000\000\000\000\000\000\000\000\004\000\001\000\000\000' >"$work/empty.pcap"
{
    cat "$work/empty.pcap"
    printf '\001\000\000\000\000\000\000\000\074\000\000\000\074\000\000\000short'
} >"$work/cut.pcap"
echo "no capture at all, only words in a file" >"$work/words.txt"

# What a kernel without Landlock has why502 say first is no part of what is tested here.
without_sandbox_line() {
    grep -v 'the sandbox is partial' "$work/err" >"$work/err.rest"
    mv "$work/err.rest" "$work/err"
}

# exits STATUS ARGUMENTS...: runs why502, leaves out and err
exits() {
    want=$1
    shift
    "$why502" "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    without_sandbox_line
    [ "$got" -eq "$want" ] || { echo "exit $got, wanted $want: why502 $*"; cat "$work/err"; return 1; }
}

# usage_error WORDS ARGUMENTS...: exit 2, one line that holds WORDS, and "Try --help"
usage_error() {
    words=$1
    shift
    exits 2 "$@" || return 1
    [ ! -s "$work/out" ] || { echo "something on standard output"; return 1; }
    [ "$(wc -l <"$work/err")" -eq 2 ] && grep -q "Try --help" "$work/err" || { cat "$work/err"; return 1; }
    grep -qF -- "$words" "$work/err" || { echo "not said: $words"; cat "$work/err"; return 1; }
}

# trouble WORDS ARGUMENTS...: exit 3, one line that holds WORDS
trouble() {
    words=$1
    shift
    exits 3 "$@" || return 1
    [ "$(wc -l <"$work/err")" -eq 1 ] || { cat "$work/err"; return 1; }
    grep -qF -- "$words" "$work/err" || { echo "not said: $words"; cat "$work/err"; return 1; }
}

json_on_stdout() {
    "${PYTHON3:-python3}" -c 'import json, sys; json.load(open(sys.argv[1], encoding="utf-8"))' "$work/out"
}

empty_file() { exits 0 -r "$work/empty.pcap" && grep -q "No gateway error" "$work/out" && [ ! -s "$work/err" ]; }
help() { exits 0 --help && [ "$(head -c 6 "$work/out")" = Usage: ] && [ ! -s "$work/err" ]; }
version() { exits 0 --version && grep -q '^why502 [0-9]' "$work/out"; }
lists() {
    exits 0 --list-causes && grep -q '^keepalive-race ' "$work/out" || return 1
    exits 0 --list-products && grep -qx nginx "$work/out" || return 1
    exits 0 --capture-help && grep -q 'tcpdump -i any' "$work/out"
}
explains() {
    exits 0 --explain keepalive-race && grep -q 'Mistaken for' "$work/out" || return 1
    exits 0 --explain 'SH--' && grep -q haproxy "$work/out" || return 1
    exits 0 --explain '2026/01/31 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream' &&
        grep -q connection-refused "$work/out" || return 1
    exits 0 --explain 522 && grep -q '^cloudflare .*connect-timeout' "$work/out" || return 1
    exits 2 --explain 'no such words in any log'
}
schema() { exits 0 --print-schema && json_on_stdout && grep -q '"keepalive-race"' "$work/out"; }
json_of_nothing() { exits 3 -r /nonexistent.pcap -T json && json_on_stdout; }
cut_is_reported() { trouble cut.pcap -r "$work/cut.pcap" -T json && json_on_stdout; }
several_outputs() {
    exits 0 -r "$work/empty.pcap" -o "$work/a.json" -o "$work/a.txt" -o "$work/a.ndjson" || return 1
    [ ! -s "$work/out" ] && [ -s "$work/a.json" ] && [ -s "$work/a.txt" ] && [ -s "$work/a.ndjson" ] || return 1
    [ "$(stat -c %a "$work/a.json")" = 600 ]
}
no_overwrite() {
    exits 3 -r "$work/empty.pcap" -o "$work/a.json" && grep -q 'exists already' "$work/err" || return 1
    exits 0 -r "$work/empty.pcap" -o "$work/a.json" --force && [ -z "$(find "$work" -name 'a.json.*')" ] || return 1
    ln -s a.json "$work/link.json" && exits 3 -r "$work/empty.pcap" -o "$work/link.json" --force
}
full_disk() {
    [ -c /dev/full ] || return 0
    "$why502" -r "$work/empty.pcap" >/dev/full 2>"$work/err"
    [ $? -eq 3 ] && grep -q 'cannot write' "$work/err"
}
closed_pipe() {
    { "$why502" -r "$work/empty.pcap" -T json 2>"$work/err"; echo $? >"$work/status"; } | true
    without_sandbox_line
    [ "$(cat "$work/status")" -eq 0 ] && [ ! -s "$work/err" ]
}
no_colors_in_a_pipe() {
    NO_COLOR='' TERM=xterm exits 0 -r "$work/empty.pcap" && ! grep -q "$(printf '\033')" "$work/out" || return 1
    exits 0 --color always -r "$work/empty.pcap" && grep -q "$(printf '\033')" "$work/out"
}
stops_and_reports() { # a signal while it waits on a pipe
    mkfifo "$work/pipe"
    "$why502" -r - -T json <"$work/pipe" >"$work/out" 2>"$work/err" &
    pid=$!
    exec 9>"$work/pipe"
    cat "$work/empty.pcap" >&9
    sleep 0.5
    kill -"$1" $pid
    n=0
    while kill -0 $pid 2>/dev/null && [ $n -lt 30 ]; do sleep 0.1; n=$((n + 1)); done
    exec 9>&-
    wait $pid
    status=$?
    rm "$work/pipe"
    [ $n -lt 30 ] && [ $status -eq 0 ] && json_on_stdout
}
# Without libcrypto there is an option less.
manual_is_true() {
    "$why502" --help | grep -q -- --rsa-key || return 0
    "$src/docs/fill-manual.sh" "$why502" "$src/docs/why502.1" | diff "$src/docs/why502.1" -
}
names_on_request() {
    exits 0 -r "$work/empty.pcap" -T json -N && json_on_stdout && grep -q '"names": {}' "$work/out" || return 1
    exits 0 -r "$work/empty.pcap" -T json -N -n && ! grep -q '"names"' "$work/out" || return 1
    exits 0 --print-schema && grep -q '"names"' "$work/out"
}
escapes_file_names() {
    name=$work/$(printf 'a\033[31mb.pcap')
    cp "$work/empty.pcap" "$name"
    exits 0 -r "$name" && ! grep -q "$(printf '\033')" "$work/out" || return 1
    exits 3 -r "$name.not" && ! grep -q "$(printf '\033')" "$work/err"
}

ok "an empty capture: nothing to report" empty_file
ok "--help: one page, to standard output" help
ok "--version" version
ok "lists" lists
ok "--explain takes causes and log lines" explains
ok "--print-schema prints JSON" schema
ok "an unknown option" usage_error --nonsense --nonsense
ok "an option without its value" usage_error "--read wants FILE" -r
ok "a number out of range" usage_error "--threads 99" -j 99 -r "$work/empty.pcap"
ok "an unknown format" usage_error "--format xml" -T xml -r "$work/empty.pcap"
ok "an unknown cause" usage_error "--cause keepalive" --cause keepalive-race,keepalive -r "$work/empty.pcap"
ok "an unknown fault" usage_error "--fault me" --fault me -r "$work/empty.pcap"
ok "an unknown confidence" usage_error "--min-confidence sure" --min-confidence sure -r "$work/empty.pcap"
ok "a file as a trailing word" usage_error "did you mean -r $work/empty.pcap?" "$work/empty.pcap"
ok "files and interfaces together" usage_error "exclude each other" -r "$work/empty.pcap" -i lo
ok "a bad filter" usage_error "prot 80" -r "$work/empty.pcap" prot 80
ok "the end of a pipe is not known" usage_error "counts from the end" -r - --since -10m
ok "no such file" trouble /nonexistent.pcap -r /nonexistent.pcap
ok "not a capture" trouble words.txt -r "$work/words.txt"
ok "a file that is cut: said, and reported as far as it goes" cut_is_reported
ok "a program gets JSON even where nothing could be opened" json_of_nothing
ok "several outputs in one run, 0600" several_outputs
ok "no file is overwritten unasked, no link followed" no_overwrite
ok "a full disk is said" full_disk
ok "a reader that went away is no trouble" closed_pipe
ok "colours on a terminal alone, or when asked for" no_colors_in_a_pipe
ok "SIGINT: reports and ends" stops_and_reports INT
ok "SIGTERM: reports and ends" stops_and_reports TERM
ok "names with -N alone; the last of -N and -n counts" names_on_request
ok "file names are escaped" escapes_file_names
completes() {
    bash -c 'eval "$("$0" --print-manual bash)" && COMP_WORDS=(why502 "$@") && COMP_CWORD=$# && _why502 2>/dev/null && echo "${COMPREPLY[@]}"' "$why502" "$@"
}
completion_is() {
    wanted=$1
    shift
    [ "$(completes "$@")" = "$wanted" ] || { completes "$@"; return 1; }
}
shell_reads() { "$why502" --print-manual "$1" >"$work/completion.$1" && "$1" -n "$work/completion.$1"; }
ok "bash completes options" completion_is "--min-confidence --match --max-memory" --m
ok "bash completes formats" completion_is "html har" -T h
ok "bash completes causes" completion_is "keepalive-race" --cause keep
for shell in bash zsh fish; do
    if command -v $shell >/dev/null; then ok "$shell reads its completions" shell_reads $shell
    else skip "$shell reads its completions" "no $shell"; fi
done
ok "the manual page says what the program says" manual_is_true
done_testing
