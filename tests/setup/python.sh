#!/bin/sh
# Prints the path of a Python that has the packages of python/requirements.txt: Baidu's SDK, schemathesis, a validator of
# OpenAPI documents, httpx for the guides, and the clients of tests/relay/foreign. Makes a virtual environment below
# target/tools.
set -eu
here=$(dirname "$0")
. "$here/install.sh"
lock=$here/python/requirements.txt
python=$tools/python/bin/python

make_environment() {
    python3 -m venv --clear "$tools/python" >&2
}

if ! is_installed "$tools/python" "$lock"; then
    echo "installing $lock into $tools/python (once)" >&2
    # Debian keeps venv in a package of its own.
    make_environment || { install_packages "a virtual environment of Python" python3 python3-venv && make_environment; } || true
    if timeout "$INSTALL_TIMEOUT_SECONDS" "$python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes --requirement "$lock" >&2; then
        mark_installed "$tools/python" "$lock"
    fi
fi
if is_installed "$tools/python" "$lock"; then
    echo "$python"
else
    unavailable "Python with the packages of $lock"
fi
