# Functions for the scripts of this directory, which read it with `.`. Each script finds or installs one tool and prints
# its path. If the tool can neither be found nor installed, the script prints no path: the tests that need it are then
# skipped with a visible line, or fail if CI is set.

# An absolute path: the tests run in another directory than make.
tools=${CARGO_TARGET_DIR:-target}/tools
mkdir -p "$tools"
tools=$(cd "$tools" && pwd)

# Installation must not wait for a network that drops packets.
INSTALL_TIMEOUT_SECONDS=300

# install_packages WHY NAME...: installs Debian packages if the user is root, and does nothing on other systems.
install_packages() {
    why=$1
    shift
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        return 0
    fi
    echo "installing $* ($why)" >&2
    export DEBIAN_FRONTEND=noninteractive
    # The package lists of a fresh image are empty or old. If they cannot be updated, the old ones may still do.
    timeout "$INSTALL_TIMEOUT_SECONDS" apt-get update -q >&2 || true
    # In run level 1 no installed service is started.
    RUNLEVEL=1 timeout "$INSTALL_TIMEOUT_SECONDS" apt-get install -q -y --no-install-recommends "$@" >&2 || true
}

# is_installed DIRECTORY LOCK: whether the directory was completely installed from this version of the lock file.
is_installed() {
    [ -f "$1/installed.lock" ] && cmp -s "$1/installed.lock" "$2"
}

# mark_installed DIRECTORY LOCK
mark_installed() {
    cp "$2" "$1/installed.lock"
}

# unavailable WHAT: says that a tool is missing. Fails if CI is set.
unavailable() {
    echo "SKIPPED: $1 cannot be found or installed: the tests that need it do not run" >&2
    [ -z "${CI:-}" ]
}
