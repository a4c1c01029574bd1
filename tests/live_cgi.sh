#!/bin/sh
# nginx before php-fpm and uWSGI over TCP, why502 sniffing: see tests/live_cgi.py.
exec "${PYTHON3:-python3}" "${srcdir:-$(dirname "$0")/..}/tests/live_cgi.py" "${WHY502:-./why502}" "$@"
