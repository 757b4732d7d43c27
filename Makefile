# The commands of the project. A clean clone needs a Rust toolchain, gcc, make, python3, curl and openssl. Some tests also
# need Chromium, Node.js, nginx, HAProxy, Caddy, promtool, nats-server or packages of PyPI: `make test` installs them as root on Debian, and
# skips these tests with a visible line where it cannot.

.DEFAULT_GOAL := help
.PHONY: help run cluster check test checks tools relay-tests cluster-tests other-tests isolation-tests chaos mutants bench bench-smoke clusterbench mixed bundle toolchain

# Nothing is built twice in continuous integration.
ifdef CI
export CARGO_INCREMENTAL := 0
endif

TARGET := $(or $(CARGO_TARGET_DIR),target)
BENCH_OPTIONS := --relay $(TARGET)/release/docrelay --tools $(TARGET)/release $(if $(BASELINE),--baseline $(BASELINE))

# One suite per folder of tests with a main.rs.
OTHER_TESTS := $(filter-out relay cluster,$(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs)))

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

run: ## build the relay and start it with a demo client, data in ./data
	cargo build --release --locked
	exec $(TARGET)/release/docrelay serve --demo --data ./data

cluster: ## the same as a cluster: three NATS servers, three nodes and HAProxy, data in ./data-cluster
	cargo build --release --locked
	exec tools/cluster/start.sh $(TARGET)/release/docrelay

check: toolchain ## the quick look before a commit: format, lints, the rules for the source tree
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --workspace --locked --test source_tree

# Jobs side by side, each with its output in one piece. Most tests wait for a relay, a browser, a broker or a clock, so there
# are more at once than cores.
SIDE_BY_SIDE := $(MAKE) --jobs=3 --output-sync=target --keep-going

test: toolchain ## everything that must hold; installs what it needs (tests/setup)
	$(SIDE_BY_SIDE) tools checks
	cargo test --workspace --locked --no-run
	$(SIDE_BY_SIDE) relay-tests cluster-tests other-tests
	$(MAKE) isolation-tests
	$(MAKE) bench-smoke

# clippy and rustdoc only check the tree, the tests build it: all in the dev profile, so that the C libraries are compiled
# once.
checks: toolchain
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

# What is downloaded or installed, and the checks that need nothing else.
tools:
	tests/setup/cargo-deny.sh
	tests/setup/with-tools.sh tests/javascript/check.sh

relay-tests:
	tests/setup/with-tools.sh env RUST_TEST_THREADS=4 cargo test --workspace --locked --test relay -- --skip isolation::

# They compare times, and other tests beside them would be measured too.
isolation-tests:
	env RUST_TEST_THREADS=1 cargo test --workspace --locked --test relay isolation::

cluster-tests:
	tests/setup/with-tools.sh env RUST_TEST_THREADS=3 cargo test --workspace --locked --test cluster

other-tests:
	tests/setup/with-tools.sh env RUST_TEST_THREADS=2 cargo test --workspace --locked --no-fail-fast --lib --bins $(OTHER_TESTS:%=--test %)

# The seed is printed. SEED=number repeats its choices, SECONDS=number changes the length.
chaos: ## random faults of the nodes, brokers and links of a cluster under load (half an hour)
	DOCRELAY_CHAOS_SECONDS=$(or $(SECONDS),1800) $(if $(SEED),DOCRELAY_CHAOS_SEED=$(SEED)) \
		tests/setup/with-tools.sh cargo test --workspace --locked --test cluster random_faults -- --nocapture

# ONLY=7,12 selects rules. MUTANTS=directory keeps what was built for the next run. Needs Python 3.11.
mutants: ## break each rule of tests/rules/rules.toml once, and expect its test to fail (half an hour)
	python3 tests/rules/mutate.py $(if $(ONLY),--only $(ONLY)) $(if $(MUTANTS),--directory $(MUTANTS))

bundle: ## write static/dist after a change of the modules in static; needs Node.js
	tests/setup/with-tools.sh node tests/javascript/bundle.js

# Part of `make test`, with the dev profile.
bench-smoke: ## the ratios of a short measurement beside nginx and nchan (half a minute)
	tests/setup/nchan.sh
	cargo build --workspace --locked --bin docrelay --bin ssebench --bin webhook_sender
	tools/bench/smoke.py --relay $(TARGET)/debug/docrelay --tools $(TARGET)/debug

# BASELINE=path/to/docrelay measures an older binary in turn with this one, and adds the ratios.
bench: ## speed compared with nginx and nchan, or with BASELINE=an/older/docrelay (a quiet machine)
	tests/setup/nchan.sh
	cargo build --workspace --release --locked
	tools/bench/fanout.py $(BENCH_OPTIONS)
	tools/bench/returning.py $(BENCH_OPTIONS)
	tools/bench/webhooks.py $(BENCH_OPTIONS)
	tools/bench/deliveries.py $(BENCH_OPTIONS)

clusterbench: ## speed of a cluster of three nodes and three NATS servers on this machine, beside a single relay (ten minutes)
	cargo build --workspace --release --locked
	tools/bench/cluster.py $(BENCH_OPTIONS) --nats-server $$(tests/setup/nats.sh)

# MINUTES=number changes the length. The storm and the comparison over TLS take three minutes and ten.
mixed: ## ten thousand followers beside hostile peers, a storm of new followers, and TLS compared with nginx and nchan (half an hour)
	tests/setup/nchan.sh
	tests/setup/proxies.sh
	cargo build --workspace --release --locked
	tools/bench/mixed.py $(BENCH_OPTIONS) --minutes $(or $(MINUTES),10)
	tools/bench/storm.py $(BENCH_OPTIONS)
	tools/bench/fanout.py $(BENCH_OPTIONS) --tls

# A minimal toolchain lacks both.
toolchain:
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
