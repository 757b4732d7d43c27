#!/bin/sh
# Prints the directory of Node.js packages that holds eventsource, the client of the guide's consumer; installs it under
# target/tools once. Prints nothing when it, or Node.js, cannot be had: the test then says SKIPPED, or fails where CI is
# set. The 3 is the last that Debian's Node.js runs.
set -eu
version=3.0.7
root=${CARGO_TARGET_DIR:-$PWD/target}/tools/eventsource
package=$root/node_modules/eventsource/package.json

has_it() {
    [ -f "$package" ] && grep -q "\"version\": \"$version\"" "$package"
}

if { ! command -v node || ! command -v npm; } >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing nodejs and npm for the guide's consumer" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2 || true
    apt-get install -q -y --no-install-recommends nodejs npm >&2 || true
fi
if command -v node >/dev/null && command -v npm >/dev/null && ! has_it; then
    echo "installing eventsource $version into $root (once)" >&2
    mkdir -p "$root"
    # No script of a stranger's package is run; a network that swallows packets must not hold up everything else.
    timeout 300 npm install --silent --prefix "$root" --ignore-scripts --no-audit --no-fund --no-save \
        "eventsource@$version" >&2 || true
fi
if command -v node >/dev/null && has_it; then
    echo "$root/node_modules"
    exit 0
fi
echo "no Node.js with eventsource here: the guide's consumer cannot run" >&2
[ -z "${CI:-}" ]
