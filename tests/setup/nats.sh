#!/bin/sh
# Prints the path of nats-server, the broker of the journal's tests. Installs the wheel of nats/requirements.txt into a
# virtual environment below target/tools.
set -eu
here=$(dirname "$0")
. "$here/install.sh"
lock=$here/nats/requirements.txt
environment=$tools/nats

make_environment() {
    python3 -m venv --clear "$environment" >&2
}

if ! is_installed "$environment" "$lock"; then
    echo "installing $lock into $environment (once)" >&2
    # Debian keeps venv in a package of its own.
    make_environment || { install_packages "a virtual environment of Python" python3 python3-venv && make_environment; } || true
    if timeout "$INSTALL_TIMEOUT_SECONDS" "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes --requirement "$lock" >&2; then
        mark_installed "$environment" "$lock"
    fi
fi
if is_installed "$environment" "$lock" && "$environment/bin/nats-server" --version >/dev/null; then
    echo "$environment/bin/nats-server"
else
    unavailable nats-server
fi
