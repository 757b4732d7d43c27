#!/bin/sh
# Prints the path of axe-core's script, for the test that lets it look at the dashboard; installs it under target/tools
# once. Prints nothing when it cannot be had: the test then says SKIPPED, or fails where CI is set.
set -eu
version=4.10.3
root=${CARGO_TARGET_DIR:-$PWD/target}/tools/axe
package=$root/node_modules/axe-core/package.json

has_it() {
    [ -f "$package" ] && grep -q "\"version\": \"$version\"" "$package"
}

if command -v npm >/dev/null && ! has_it; then
    echo "installing axe-core $version into $root (once)" >&2
    mkdir -p "$root"
    # No script of a stranger's package is run; a network that swallows packets must not hold up everything else.
    timeout 300 npm install --silent --prefix "$root" --ignore-scripts --no-audit --no-fund --no-save \
        "axe-core@$version" >&2 || true
fi
if has_it; then
    echo "$root/node_modules/axe-core/axe.min.js"
    exit 0
fi
echo "no axe-core here and none could be installed: the dashboard's accessibility test cannot run" >&2
[ -z "${CI:-}" ]
