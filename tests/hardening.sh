#!/bin/sh
# What the compiler and the linker were asked for is in the program: read by readelf, and by hardening-check where it is there
# (devscripts). Of control-flow protection a program of Debian 12 says nothing, since what the C library adds to each (crti.o)
# was built without: our own objects tell. Its word on stack clashes is "unknown" where no frame is large enough for a loop.
# shellcheck source=tests/tap.sh
. "${srcdir:-$(dirname "$0")/..}/tests/tap.sh"
why502=${WHY502:-./why502}
objects=${why502%/*}
command -v readelf >/dev/null || skip_all "no readelf"
if "$why502" --version | grep -q 'off by default in this build'; then skip_all "a build with sanitizers"; fi

has() { # TEXT ARGUMENTS...: readelf's answer holds it
    text=$1
    shift
    readelf -W "$@" 2>/dev/null | grep -q -- "$text"
}
own_objects_protect_control_flow() {
    for o in "$objects"/why502.o "$objects"/options.o "$objects"/confine.o; do
        has 'IBT, SHSTK' -n "$o" || { echo "$o"; return 1; }
    done
    all=$(readelf -W -h "$objects"/libwhy502.a | grep -c '^File:')
    marked=$(readelf -W -n "$objects"/libwhy502.a | grep -c 'IBT, SHSTK')
    [ "$all" -gt 0 ] && [ "$all" -eq "$marked" ] || { echo "$marked of $all"; return 1; }
}
stack_stays_data() { readelf -W -l "$why502" | grep GNU_STACK | grep -q 'RW '; }
checked_calls() { has '__memcpy_chk\|__snprintf_chk\|__vsnprintf_chk\|__fprintf_chk' --dyn-syms "$why502"; }
probes_large_frames() { objdump -d --no-show-raw-insn "$why502" | grep -q 'or[lq]* *\$0x0,(%[re]sp)'; }
check() { hardening-check --nocfprotection "$why502"; }

ok "a position-independent executable" has 'PIE' -d "$why502"
ok "all symbols are bound at the start" has 'BIND_NOW\|FLAGS.*NOW' -d "$why502"
ok "what is relocated is then read-only" has GNU_RELRO -l "$why502"
ok "the stack cannot be executed" stack_stays_data
ok "stacks are protected" has __stack_chk_fail --dyn-syms "$why502"
ok "calls of the C library are checked" checked_calls
if [ "$(uname -m)" = x86_64 ]; then
    ok "large frames are probed page by page" probes_large_frames
    ok "our objects protect control flow" own_objects_protect_control_flow
else
    skip "large frames are probed page by page" "read for x86-64 alone"
    skip "our objects protect control flow" "read for x86-64 alone"
fi
if command -v hardening-check >/dev/null; then
    ok "hardening-check has nothing to say" check
else
    skip "hardening-check has nothing to say" "it is not installed"
fi
done_testing
