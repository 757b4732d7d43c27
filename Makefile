# The commands of the project. A clean clone needs a Rust toolchain, gcc, make, python3, curl and openssl. Some tests also
# need Chromium, Node.js, nginx, HAProxy, Caddy or packages of PyPI: `make test` installs them as root on Debian, and skips
# these tests with a visible line where it cannot.

.DEFAULT_GOAL := help
.PHONY: help run test check bench toolchain

TARGET := $(or $(CARGO_TARGET_DIR),target)
# The load generator that `make bench` compares with; it lives beside the repository.
SSEBENCH ?= ../shared/tools/ssebench

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

run: ## build the relay and start it with a demo client, data in ./data
	cargo build --release --locked
	exec $(TARGET)/release/docrelay serve --demo --data ./data

check: toolchain ## the quick look before a commit: format, lints, the rules for the source tree
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	cargo test --locked --test source_tree

# clippy and rustdoc only check the tree, the tests build it: all in the dev profile, so that the C libraries are compiled
# once. The tests come last, so that their result is the last output.
test: toolchain ## everything that must hold; installs what it needs (tests/setup)
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked
	tests/setup/cargo-deny.sh
	tests/setup/with-tools.sh cargo test --locked

bench: ## speed beside nginx with nchan, webhooks per second, the cost of a resume (ten minutes, a quiet machine)
	cargo build --release --locked
	tests/bench/fanout.py --relay $(TARGET)/release/docrelay --ssebench $(SSEBENCH)
	tests/bench/webhooks.py --relay $(TARGET)/release/docrelay
	tests/bench/deliveries.py --relay $(TARGET)/release/docrelay

# A minimal toolchain lacks both.
toolchain:
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
