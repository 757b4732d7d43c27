#!/bin/sh
# Prints the paths of nginx, HAProxy and Caddy, separated by spaces, for the tests of the guides' proxy configurations.
# Installs Debian's if one is missing.
set -eu
. "$(dirname "$0")/install.sh"
# Debian installs two of them outside the PATH of an ordinary user.
PATH=$PATH:/usr/sbin:/sbin

find_proxies() {
    command -v nginx >/dev/null && command -v haproxy >/dev/null && command -v caddy >/dev/null &&
        echo "$(command -v nginx) $(command -v haproxy) $(command -v caddy)"
}

find_proxies && exit 0
install_packages "the guides' proxies" nginx haproxy caddy
find_proxies || unavailable "nginx, HAProxy or Caddy"
