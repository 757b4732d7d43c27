#!/bin/sh
# Checks static/: format and lints (.biome.json), unit tests, and whether static/dist is up to date. Run it with
# tests/setup/with-tools.sh, which has already reported it if the tools are missing.
set -eu
if [ -z "$DOCRELAY_NODE_MODULES" ]; then
    echo "SKIPPED: the checks of static/ need Node.js" >&2
    [ -z "${CI:-}" ]
    exit
fi
"$DOCRELAY_NODE_MODULES/.bin/biome" ci --error-on-warnings
node --test --test-reporter=spec tests/javascript/*.test.js
