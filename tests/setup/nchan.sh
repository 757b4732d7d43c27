#!/bin/sh
# Installs nginx with nchan, which `make bench` compares with. Fails if they cannot be had: there is nothing to compare.
set -eu
. "$(dirname "$0")/install.sh"
PATH=$PATH:/usr/sbin:/sbin

has_nchan() {
    command -v nginx >/dev/null && ls /usr/lib/nginx/modules/ngx_nchan_module.so >/dev/null 2>&1
}

has_nchan || install_packages "the peer of make bench" nginx libnginx-mod-nchan
has_nchan || {
    echo "nginx with nchan is missing: apt-get install nginx libnginx-mod-nchan" >&2
    exit 1
}
