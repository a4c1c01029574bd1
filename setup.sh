# shellcheck shell=sh
# What quickstart and quicktest share: packages and the build. To be read by them, from the project's folder.

# shellcheck disable=SC2034 # they are used by those that read this
# What it takes to build, and what the suite needs beside that.
BUILD_PACKAGES="gcc make autoconf automake pkg-config libc6-dev libpcap-dev libnghttp2-dev libssl-dev zlib1g-dev
libzstd-dev liblz4-dev libseccomp-dev"
# shellcheck disable=SC2034
TEST_PACKAGES="python3 python3-jsonschema python3-prometheus-client cmark-gfm tshark iproute2 nginx-light haproxy apache2 varnish
php-fpm uwsgi-core uwsgi-plugin-python3"
# For tests/html.sh; from npm, below variants/node.
# shellcheck disable=SC2034
BROWSER_PACKAGES="chromium"
BROWSER_MODULES="playwright-core axe-core"
# shellcheck disable=SC2034
FUZZ_PACKAGES="clang"
# shellcheck disable=SC2034
GATEWAY_PACKAGES="$TEST_PACKAGES tcpdump caddy squid lighttpd nghttp2-proxy h2o trafficserver"

jobs=$(nproc 2>/dev/null || echo 2)

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Services that come with packages are not to start here: invoke-rc.d asks /usr/sbin/policy-rc.d, and 101 means no. One that is
# there already stays as it is.
without_services() {
    policy=/usr/sbin/policy-rc.d
    [ ! -e $policy ] || policy=
    [ -z "$policy" ] || printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin $policy
    status=0
    "$@" || status=$?
    [ -z "$policy" ] || as_root rm -f $policy
    return $status
}

# Installs those of the packages that are missing.
setup_packages() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || {
        echo "this is no Debian; please install:$missing" >&2
        return 1
    }
    echo "installing:$missing" >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
    # shellcheck disable=SC2086
    without_services as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qq -y --no-install-recommends $missing >&2
}

# A browser and what drives it. Without them tests/html.sh skips.
setup_browser() {
    WHY502_NODE=$PWD/variants/node
    export WHY502_NODE
    command -v npm >/dev/null || setup_packages nodejs npm || return 1
    # shellcheck disable=SC2086
    setup_packages $BROWSER_PACKAGES || return 1
    # shellcheck disable=SC2086
    [ -d "$WHY502_NODE/node_modules/axe-core" ] ||
        npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix "$WHY502_NODE" $BROWSER_MODULES >&2
}

# setup_build [configure's options]: configures when it must, and builds.
setup_build() {
    if [ ! -x configure ] || [ -n "$(find configure.ac m4 -newer configure)" ]; then ./autogen.sh; fi
    if [ ! -f config.status ] || [ "$*" != "$(cat .setup-options 2>/dev/null)" ]; then
        ./configure --quiet "$@"
        echo "$*" >.setup-options
    fi
    make --no-print-directory -s -j"$jobs"
}
