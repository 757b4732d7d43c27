#!/bin/sh
# Prints the path of a cargo-deny that understands .deny.toml; builds one under target/tools when there is none.
# Unoptimised and without its own git client that takes a third of the time and costs a second a run.
set -eu
version=0.20.2
root=${CARGO_TARGET_DIR:-target}/tools

for deny in "$root/bin/cargo-deny" "$(command -v cargo-deny || true)"; do
    if [ -n "$deny" ] && "$deny" --version 2>/dev/null | grep -q "^cargo-deny $version$"; then
        echo "$deny"
        exit 0
    fi
done
echo "installing cargo-deny $version into $root (a minute or two, once)" >&2
cargo install --quiet --locked --debug --no-default-features --version "$version" --root "$root" cargo-deny >&2
echo "$root/bin/cargo-deny"
