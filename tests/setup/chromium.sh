#!/bin/sh
# Prints the path of a Chromium for the browser's test; installs Debian's when there is none and that is allowed.
# Prints nothing when there is none to be had: the test then says SKIPPED, or fails where CI is set.
set -eu

find_one() {
    for name in "${DOCRELAY_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
        if [ -n "$name" ] && command -v "$name"; then
            return 0
        fi
    done
    return 1
}

find_one && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing chromium for the browser's test" >&2
    export DEBIAN_FRONTEND=noninteractive
    # The lists of a fresh image are empty or old; what a closed network cannot refresh may still install.
    apt-get update -q >&2 || true
    apt-get install -q -y --no-install-recommends chromium >&2 || true
    find_one && exit 0
fi
echo "no chromium here and none could be installed: the browser's test cannot run" >&2
[ -z "${CI:-}" ]
