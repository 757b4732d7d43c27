#!/bin/sh
# Prints the node_modules directory with the packages of node/package.json: Baidu's SDK for Node.js, the clients of streams,
# webhooks and tokens in tests/relay/foreign and the guides, and axe-core for the dashboard. Installs them below target/tools.
set -eu
here=$(dirname "$0")
. "$here/install.sh"
lock=$here/node/package-lock.json
directory=$tools/node

has_node() {
    command -v node >/dev/null && command -v npm >/dev/null
}

has_node || install_packages "JavaScript packages of the tests" nodejs npm
if has_node && ! is_installed "$directory" "$lock"; then
    echo "installing $lock into $directory (once)" >&2
    mkdir -p "$directory"
    cp "$here/node/package.json" "$lock" "$here/node/.npmrc" "$directory"
    # npm ci installs exactly what the lock file names and compares the hashes.
    if (cd "$directory" && timeout "$INSTALL_TIMEOUT_SECONDS" npm ci --silent >&2); then
        mark_installed "$directory" "$lock"
    fi
fi
if has_node && is_installed "$directory" "$lock"; then
    echo "$directory/node_modules"
else
    unavailable "Node.js with the packages of $lock"
fi
