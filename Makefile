# The commands of the project. A clean clone needs a Rust toolchain, gcc, make, python3, curl and openssl. Some tests also
# need Chromium, Node.js, nginx, HAProxy, Caddy, promtool, nats-server or packages of PyPI: `make test` installs them as root on Debian, and
# skips these tests with a visible line where it cannot.

.DEFAULT_GOAL := help
.PHONY: help run cluster check test chaos mutants bench bundle toolchain

TARGET := $(or $(CARGO_TARGET_DIR),target)
BENCH_TARGET := $(TARGET)/bench
BENCH_OPTIONS := --relay $(TARGET)/release/docrelay --tools $(BENCH_TARGET)/release $(if $(BASELINE),--baseline $(BASELINE))

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

run: ## build the relay and start it with a demo client, data in ./data
	cargo build --release --locked
	exec $(TARGET)/release/docrelay serve --demo --data ./data

cluster: ## the same as a cluster: three NATS servers, three nodes and HAProxy, data in ./data-cluster
	cargo build --release --locked
	exec tools/cluster/start.sh $(TARGET)/release/docrelay

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
	cargo fmt --check --manifest-path tools/bench/Cargo.toml
	cargo clippy --all-targets --locked --manifest-path tools/bench/Cargo.toml --target-dir $(BENCH_TARGET) -- -D warnings
	cargo test --locked --manifest-path tools/bench/Cargo.toml --target-dir $(BENCH_TARGET)
	tests/setup/with-tools.sh tests/javascript/check.sh
	tests/setup/with-tools.sh cargo test --locked

# The seed is printed. SEED=number repeats its choices, SECONDS=number changes the length.
chaos: ## random faults of the nodes and brokers of a cluster under load (half an hour)
	DOCRELAY_CHAOS_SECONDS=$(or $(SECONDS),1800) $(if $(SEED),DOCRELAY_CHAOS_SEED=$(SEED)) \
		tests/setup/with-tools.sh cargo test --locked --test cluster random_faults -- --nocapture

# ONLY=7,12 selects rules. MUTANTS=directory keeps what was built for the next run. Needs Python 3.11.
mutants: ## break each rule of tests/rules/rules.toml once, and expect its test to fail (half an hour)
	python3 tests/rules/mutate.py $(if $(ONLY),--only $(ONLY)) $(if $(MUTANTS),--directory $(MUTANTS))

bundle: ## write static/dist after a change of the modules in static; needs Node.js
	tests/setup/with-tools.sh node tests/javascript/bundle.js

# BASELINE=path/to/docrelay measures an older binary in turn with this one, and adds the ratios.
bench: ## speed compared with nginx and nchan, or with BASELINE=an/older/docrelay (ten minutes, a quiet machine)
	tests/setup/nchan.sh
	cargo build --release --locked
	cargo build --release --locked --manifest-path tools/bench/Cargo.toml --target-dir $(BENCH_TARGET)
	tools/bench/fanout.py $(BENCH_OPTIONS)
	tools/bench/webhooks.py $(BENCH_OPTIONS)
	tools/bench/deliveries.py $(BENCH_OPTIONS)

# A minimal toolchain lacks both.
toolchain:
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
