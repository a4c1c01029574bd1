# shellcheck shell=sh
# TAP for the suite's scripts. To be read by them.
#
#     ok "what holds" command...      runs command; says what it printed when it fails
#     skip_all "why"                   nothing here can run
#     done_testing                     the last line

tap_n=0
tap_failed=0
tap_dir=$(mktemp -d) || exit 99
trap 'rm -rf "$tap_dir"' EXIT

ok() {
    tap_what=$1
    shift
    tap_n=$((tap_n + 1))
    if "$@" >"$tap_dir/out" 2>&1; then
        echo "ok $tap_n - $tap_what"
    else
        sed 's/^/# /' "$tap_dir/out"
        echo "not ok $tap_n - $tap_what"
        tap_failed=1
    fi
}

skip() {
    tap_n=$((tap_n + 1))
    echo "ok $tap_n - $1 # SKIP $2"
}

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

done_testing() {
    echo "1..$tap_n"
    [ -n "${HARNESS_ACTIVE-}" ] || exit "$tap_failed"
    exit 0
}
