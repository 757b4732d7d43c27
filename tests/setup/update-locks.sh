#!/bin/sh
# Writes both lock files again after a change of python/requirements.in or node/package.json. Needs uv and npm. Both files
# hold versions and hashes, and no address of a registry.
set -eu
cd "$(dirname "$0")"
# 3.11 is the oldest Python that the tests are run with. The hashes are those of all platforms.
(cd python && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --upgrade \
    --custom-compile-command tests/setup/update-locks.sh --output-file requirements.txt requirements.in)
(cd node && npm install --package-lock-only)
