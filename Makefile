# `make demo` and `make test` do everything on a fresh machine that has Rust, a C compiler and Python 3.11.

# Outside the checkout, so that a clean clone finds what was built before.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/onrecord
export CARGO_TARGET_DIR ?= $(CACHE)/target
BIN := $(CARGO_TARGET_DIR)/debug/onrecord
VENV := $(CACHE)/venv
TOOLS := $(CACHE)/tools
CARGO ?= cargo

.PHONY: help demo test test-rust test-python test-readers test-long bench lint fmt doc deny clean

help:
	@echo "make demo       the main job on real data: record, prove, verify, tamper with copies"
	@echo "make test       all tests but the long hunts"
	@echo "make test-long  faults, kills and properties at length"
	@echo "make bench      figures beside their peers (optimised build)"
	@echo "make lint       format, clippy, documentation, licences"

demo:
	$(CARGO) run --quiet --locked -p cli -- demo

test: test-rust test-python test-readers

test-rust:
	$(CARGO) test --locked --workspace

test-python: $(VENV)/ready
	$(CARGO) build --quiet --locked -p cli
	cd verifiers/python && ONRECORD_BIN=$(BIN) $(VENV)/bin/python -m unittest -v

# Other engines read what onrecord writes.
test-readers: $(VENV)/ready
	$(CARGO) build --quiet --locked -p cli
	cd tests/readers && ONRECORD_BIN=$(BIN) $(VENV)/bin/python -m unittest -v

$(VENV)/ready: verifiers/python/requirements.txt tests/readers/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check $(addprefix -r ,$^)
	@touch $@

test-long:
	ONRECORD_TEST_LONG=1 PROPTEST_CASES=$(or $(PROPTEST_CASES),2000) $(CARGO) test --locked --workspace

# One row of docs/performance.md: make bench-append ARGS="--seconds 10"; bench/README.md lists them.
bench-%: $(VENV)/ready
	$(CARGO) build --quiet --release --locked -p bench
	ONRECORD_BENCH_PYTHON=$(VENV)/bin/python $(CARGO_TARGET_DIR)/release/bench $* $(ARGS)

bench:
	$(CARGO) bench --locked -p record -p tlog -p journal -p lake

lint: fmt doc deny
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

fmt:
	$(CARGO) fmt --all --check

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet

# Advisories are checked where their database can be reached: DENY="advisories bans licenses sources".
DENY ?= bans licenses sources
deny: $(TOOLS)/bin/cargo-deny
	$(TOOLS)/bin/cargo-deny --locked check $(DENY)

$(TOOLS)/bin/cargo-deny:
	$(CARGO) install --quiet --locked --root $(TOOLS) cargo-deny

clean:
	rm -rf $(CARGO_TARGET_DIR) $(VENV)
