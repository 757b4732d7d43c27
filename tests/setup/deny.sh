#!/bin/sh
# Licences, bans and sources always; advisories when their database can be had, and a visible skip when it cannot.
set -eu
here=$(dirname "$0")
deny=$("$here/cargo-deny.sh")

"$deny" --locked check licenses bans sources
# A network that swallows packets must not hold up everything else.
if said=$(GIT_TERMINAL_PROMPT=0 timeout 60 "$deny" --locked fetch db 2>&1); then
    "$deny" --locked check advisories
else
    echo "SKIPPED: advisories: the RustSec database cannot be fetched from here" \
        "($(echo "$said" | grep -m1 -o 'fatal: .*' || echo 'no answer within 60 s'))"
fi
