#!/bin/sh
# Prints the path of a Python that has Baidu's own SDK, for the test that lets it sign; makes .venv once.
# Prints nothing when it cannot be had: the test then says SKIPPED, or fails where CI is set.
set -eu
version=0.9.79
python=$PWD/.venv/bin/python

has_it() {
    [ -x "$python" ] && "$python" -c "import baidubce; assert baidubce.SDK_VERSION == b'$version'" 2>/dev/null
}

if ! has_it; then
    echo "installing bce-python-sdk $version into .venv (once)" >&2
    if [ ! -x "$python" ]; then
        python3 -m venv .venv >&2 || {
            # Debian keeps a part of it in a package of its own.
            rm -rf .venv
            if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
                DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv >&2 || true
            fi
            python3 -m venv .venv >&2 || true
        }
    fi
    # A network that swallows packets must not hold up everything else.
    timeout 300 "$python" -m pip install --quiet --disable-pip-version-check "bce-python-sdk==$version" >&2 || true
fi
if has_it; then
    echo "$python"
    exit 0
fi
echo "no bce-python-sdk here and none could be installed: the Python SDK's test cannot run" >&2
[ -z "${CI:-}" ]
