# The commands of the project. Everything runs from a clean clone with a Rust toolchain, gcc, python3, curl and openssl;
# some tests want Chromium, Node.js, nginx, HAProxy, Caddy or packages of PyPI, too, and are skipped without them.

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

check: toolchain ## the quick look before a commit: format, lints, the shape of the source tree
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	cargo test --locked --test source_tree

# Clippy and rustdoc share one checked tree, the tests need a built one: both in the dev profile, so that the C
# libraries are compiled once. The tests come last, so that their result is the last thing to read.
test: toolchain ## everything that must hold; installs what it needs
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked
	tests/setup/deny.sh
	chromium=$$(tests/setup/chromium.sh) && axe=$$(tests/setup/axe.sh) && python=$$(tests/setup/bce-python.sh) && node=$$(tests/setup/bce-node.sh) && \
	api=$$(tests/setup/api-python.sh) && eventsource=$$(tests/setup/eventsource.sh) && proxies=$$(tests/setup/proxies.sh) && \
	DOCRELAY_CHROMIUM="$$chromium" DOCRELAY_AXE="$$axe" DOCRELAY_BCE_PYTHON="$$python" DOCRELAY_BCE_NODE="$$node" DOCRELAY_API_PYTHON="$$api" \
	DOCRELAY_EVENTSOURCE="$$eventsource" DOCRELAY_PROXIES="$$proxies" cargo test --locked

bench: ## speed beside nginx with nchan, webhooks per second, the cost of a resume (ten minutes, a quiet machine)
	cargo build --release --locked
	tests/bench/fanout.py --relay $(TARGET)/release/docrelay --ssebench $(SSEBENCH)
	tests/bench/webhooks.py --relay $(TARGET)/release/docrelay
	tests/bench/deliveries.py --relay $(TARGET)/release/docrelay

# A minimal toolchain comes without the two.
toolchain:
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
