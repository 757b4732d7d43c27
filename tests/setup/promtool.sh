#!/bin/sh
# Prints the path of promtool, the linter of Prometheus, for the test of the metrics. Installs Debian's package of Prometheus
# if there is none.
set -eu
. "$(dirname "$0")/install.sh"

command -v promtool && exit 0
install_packages "the linter of metrics" prometheus
command -v promtool || unavailable promtool
