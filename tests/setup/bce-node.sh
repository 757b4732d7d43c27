#!/bin/sh
# Prints the directory that holds Baidu's own SDK for Node.js, for the test that lets it sign; installs it under
# target/tools once. Prints nothing when it, or Node.js, cannot be had: the test then says SKIPPED, or fails where CI is
# set.
set -eu
version=1.0.7
root=${CARGO_TARGET_DIR:-$PWD/target}/tools/bce-node
package=$root/node_modules/@baiducloud/sdk/package.json

has_it() {
    [ -f "$package" ] && grep -q "\"version\": \"$version\"" "$package"
}

if { ! command -v node || ! command -v npm; } >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing nodejs and npm for the JavaScript SDK's test" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2 || true
    apt-get install -q -y --no-install-recommends nodejs npm >&2 || true
fi
if command -v node >/dev/null && command -v npm >/dev/null && ! has_it; then
    echo "installing @baiducloud/sdk $version into $root (once)" >&2
    mkdir -p "$root"
    # No script of a stranger's package is run; a network that swallows packets must not hold up everything else.
    timeout 300 npm install --silent --prefix "$root" --ignore-scripts --no-audit --no-fund --no-save \
        "@baiducloud/sdk@$version" >&2 || true
fi
if command -v node >/dev/null && has_it; then
    echo "$root/node_modules"
    exit 0
fi
echo "no Node.js with @baiducloud/sdk here: the JavaScript SDK's test cannot run" >&2
[ -z "${CI:-}" ]
