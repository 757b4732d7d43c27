#!/bin/sh
# Prints the path of a Python that has what checks the API and the guides: schemathesis, a validator of OpenAPI documents and
# httpx-sse; makes .venv once. Prints nothing when it cannot be had: the tests then say SKIPPED, or fail where CI is set.
set -eu
python=$PWD/.venv/bin/python
wanted="schemathesis==4.32.5 openapi-spec-validator==0.9.0 httpx-sse==0.4.3 httpx==0.28.1"

has_it() {
    [ -x "$python" ] && "$python" - $wanted 2>/dev/null <<'END'
import importlib.metadata, sys
assert all(importlib.metadata.version(name) == version for name, version in (w.split("==") for w in sys.argv[1:]))
END
}

if ! has_it; then
    echo "installing $wanted into .venv (once)" >&2
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
    timeout 300 "$python" -m pip install --quiet --disable-pip-version-check $wanted >&2 || true
fi
if has_it; then
    echo "$python"
    exit 0
fi
echo "no $wanted here and none could be installed: the API's tests cannot run" >&2
[ -z "${CI:-}" ]
