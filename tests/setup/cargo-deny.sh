#!/bin/sh
# Checks licences, banned crates and sources of crates with cargo-deny, and the advisories of RustSec if their database
# can be fetched; otherwise the advisories are skipped with a visible line, under CI too. Builds cargo-deny below
# target/tools if there is none of this version.
set -eu
. "$(dirname "$0")/install.sh"
version=0.20.2

find_deny() {
    for deny in "$tools/bin/cargo-deny" "$(command -v cargo-deny || true)"; do
        if [ -n "$deny" ] && "$deny" --version 2>/dev/null | grep -q "^cargo-deny $version$"; then
            return 0
        fi
    done
    return 1
}

if ! find_deny; then
    echo "installing cargo-deny $version into $tools (a minute or two, once)" >&2
    # Unoptimised and without its own git client it builds in a third of the time and is one second slower.
    cargo install --quiet --locked --debug --no-default-features --version "$version" --root "$tools" cargo-deny >&2
    find_deny
fi

"$deny" --locked --workspace check licenses bans sources
if output=$(GIT_TERMINAL_PROMPT=0 timeout 60 "$deny" --locked fetch db 2>&1); then
    "$deny" --locked --workspace check advisories
else
    echo "SKIPPED: advisories: the RustSec database cannot be fetched" \
        "($(echo "$output" | grep -m1 -o 'fatal: .*' || echo 'no response within 60 s'))"
fi
