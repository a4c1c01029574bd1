#!/bin/sh
# Everything flows one way: capture/ -> decode/ -> report/. No file includes a header of a room to its right, and the rooms
# know nothing of what drives them.
set -u
srcdir=${srcdir:-$(dirname "$0")/..}
. "$srcdir/tests/tap.sh"

# none PATTERN DIR...: no file there has an #include that matches
none() {
    pattern=$1
    shift
    ! (cd "$srcdir" && grep -rnE --include='*.[ch]' --include='*.def' "^[[:space:]]*#[[:space:]]*include[[:space:]]+\"[^\"]*($pattern)" "$@")
}

# Only why502.c and the keeper of the process may end it or speak on stderr.
only_main_exits() {
    ! (cd "$srcdir" && grep -rnE --include='*.c' '(^|[^_[:alnum:]])(exit|perror|err|errx|warn|warnx)[[:space:]]*\(|fprintf[[:space:]]*\([[:space:]]*stderr' \
        capture decode report)
}

ok "capture/ includes nothing of decode/ or report/" none 'decode/|report/|options\.h' capture
ok "decode/ includes nothing of report/" none 'report/|options\.h' decode
ok "report/ includes nothing of the program" none 'options\.h' report
ok "no room exits or prints to stderr" only_main_exits
done_testing
