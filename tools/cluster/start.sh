#!/bin/sh
# Starts the cluster of run.py with the relay that is its first argument. Finds or installs nats-server and HAProxy.
set -eu
here=$(dirname "$0")
setup=$here/../../tests/setup
nats=$("$setup/nats.sh")
# Without the other two proxies of the guides.
haproxy=$(PATH=$PATH:/usr/sbin:/sbin command -v haproxy) || haproxy=$("$setup/proxies.sh" | cut -d' ' -f2)
if [ -z "$nats" ] || [ -z "$haproxy" ]; then
    echo "make cluster needs nats-server and HAProxy: see the lines above" >&2
    exit 1
fi
exec "$here/run.py" --relay "$1" --nats-server "$nats" --haproxy "$haproxy" --data ./data-cluster
