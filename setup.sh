# shellcheck shell=sh
# What quickstart and quicktest share: packages and the build. To be read by them, from the project's folder.

# shellcheck disable=SC2034 # they are used by those that read this
# What it takes to build, and what the suite needs beside that.
BUILD_PACKAGES="gcc make autoconf automake pkg-config libc6-dev libpcap-dev libnghttp2-dev libssl-dev zlib1g-dev
libzstd-dev liblz4-dev libseccomp-dev libcap-ng-dev"
# shellcheck disable=SC2034
TEST_PACKAGES="python3 python3-jsonschema tshark nginx-light"

jobs=$(nproc 2>/dev/null || echo 2)

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs those of the packages that are missing. (RUNLEVEL: without systemd, services that come with them do not start.)
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
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qq -y --no-install-recommends $missing >&2
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
