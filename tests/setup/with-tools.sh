#!/bin/sh
# Finds or installs what the tests need beyond the toolchain, and runs a command with the paths in its environment:
#
#     tests/setup/with-tools.sh cargo test --test relay widget
#
# A missing tool leaves its variable empty; the tests that need it are then skipped with a visible line, or fail if CI is
# set.
set -eu
here=$(dirname "$0")
DOCRELAY_CHROMIUM=$("$here/chromium.sh")
DOCRELAY_PYTHON=$("$here/python.sh")
DOCRELAY_NODE_MODULES=$("$here/node.sh")
DOCRELAY_PROXIES=$("$here/proxies.sh")
DOCRELAY_PROMTOOL=$("$here/promtool.sh")
DOCRELAY_NATS_SERVER=$("$here/nats.sh")
export DOCRELAY_CHROMIUM DOCRELAY_PYTHON DOCRELAY_NODE_MODULES DOCRELAY_PROXIES DOCRELAY_PROMTOOL DOCRELAY_NATS_SERVER
exec "$@"
