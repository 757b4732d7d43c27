#!/bin/sh
# Prints the paths of nginx, HAProxy and Caddy for the tests of the guides, with a space between; installs Debian's when
# they are missing and that is allowed. Prints nothing when one cannot be had: the tests then say SKIPPED, or fail where
# CI is set.
set -eu
# Debian puts two of them where not everybody looks.
PATH=$PATH:/usr/sbin:/sbin

find_them() {
    command -v nginx >/dev/null && command -v haproxy >/dev/null && command -v caddy >/dev/null &&
        echo "$(command -v nginx) $(command -v haproxy) $(command -v caddy)"
}

find_them && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing nginx, haproxy and caddy for the tests of the guides" >&2
    export DEBIAN_FRONTEND=noninteractive
    # The lists of a fresh image are empty or old; what a closed network cannot refresh may still install.
    apt-get update -q >&2 || true
    # In run level 1 no installed service is started: the tests start their own.
    RUNLEVEL=1 apt-get install -q -y --no-install-recommends nginx haproxy caddy >&2 || true
    find_them && exit 0
fi
echo "nginx, haproxy and caddy are not all here: the guides' proxies cannot be tried" >&2
[ -z "${CI:-}" ]
