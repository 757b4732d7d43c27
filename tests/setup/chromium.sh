#!/bin/sh
# Prints the path of a Chromium for the tests of the dashboard and the widget. Installs Debian's if there is none.
# DOCRELAY_CHROMIUM names another one.
set -eu
. "$(dirname "$0")/install.sh"

find_chromium() {
    for name in "${DOCRELAY_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
        if [ -n "$name" ] && command -v "$name"; then
            return 0
        fi
    done
    return 1
}

find_chromium && exit 0
install_packages "tests in a browser" chromium
find_chromium || unavailable Chromium
