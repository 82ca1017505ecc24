# `make demo` and `make test` do everything on a fresh machine that has Rust, a C compiler and Python 3.11.

# Outside the checkout, so that a clean clone finds what was built before.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/onrecord
export CARGO_TARGET_DIR ?= $(CACHE)/target
BIN := $(CARGO_TARGET_DIR)/debug/onrecord
VENV := $(CACHE)/venv
LOGIN_VENV := $(CACHE)/venv-login
API_VENV := $(CACHE)/venv-api
TOOLS := $(CACHE)/tools
CARGO ?= cargo

.PHONY: help demo test test-rust test-python test-readers test-login test-api binary test-long strace fuzz fuzz-corpus bench lint fmt doc deny clean

help:
	@echo "make demo       the main job on real data: record, prove, verify, tamper with copies"
	@echo "make test       all tests but the long hunts"
	@echo "make test-long  faults, kills and properties at length"
	@echo "make fuzz       every fuzz target for FUZZ_SECONDS (60); FUZZ_TARGETS names some"
	@echo "make bench      figures beside their peers (optimised build)"
	@echo "make lint       format, clippy, documentation, licences"

demo:
	$(CARGO) run --quiet --locked -p cli -- demo

test: test-rust test-python test-readers test-login test-api

test-rust:
	$(CARGO) test --locked --workspace
	ONRECORD_TEST_ENCRYPTED=1 $(CARGO) test --locked --workspace --test breaking --test query --test export \
		-- steps:: kill:: power_cut:: live:: erasure::an_erasure fields:: find:: once:: policy:: sound::

# The one that the tests use: a build of the command alone would build what it rests on once more, with other features.
binary:
	$(CARGO) test --quiet --locked --workspace --no-run

test-python: binary $(VENV)/ready
	cd verifiers/python && ONRECORD_BIN=$(BIN) $(VENV)/bin/python -m unittest -v

# Other engines read what onrecord writes.
test-readers: binary $(VENV)/ready
	cd tests/readers && ONRECORD_BIN=$(BIN) $(VENV)/bin/python -m unittest -v

# People log in by a real identity provider, which has an environment of its own: it asks for much that nothing else does.
test-login: binary $(LOGIN_VENV)/ready
	cd tests/login && ONRECORD_BIN=$(BIN) $(LOGIN_VENV)/bin/python -m unittest -v

$(LOGIN_VENV)/ready: tests/login/requirements.txt
	python3 -m venv $(LOGIN_VENV)
	$(LOGIN_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# The server answers as /v1/openapi.json says, whatever it is asked.
test-api: binary $(API_VENV)/ready
	cd tests/api && ONRECORD_BIN=$(BIN) API_SECONDS=$(or $(API_SECONDS),60) $(API_VENV)/bin/python -m unittest -v

$(API_VENV)/ready: tests/api/requirements.txt
	python3 -m venv $(API_VENV)
	$(API_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(VENV)/ready: verifiers/python/requirements.txt tests/readers/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check $(addprefix -r ,$^)
	@touch $@

# Faults struck, over all tests.
FAULTS := $(CARGO_TARGET_DIR)/faults.txt

test-long: strace
	@rm -f $(FAULTS)
	ONRECORD_TEST_LONG=1 ONRECORD_TEST_FAULTS=$(FAULTS) PROPTEST_CASES=$(or $(PROPTEST_CASES),2000) $(CARGO) test --locked --workspace
	@cat $(FAULTS)
	@awk '{ f += $$1; a += $$3; l += $$5; d += $$7 } \
		END { print "faults struck:", f, " acknowledged:", a, " lost:", l, " doubled:", d; exit f < 1000 || l + d > 0 }' $(FAULTS)
	$(MAKE) test-api API_SECONDS=900

# The hunt at real system calls needs it, and is skipped without.
strace:
	@command -v strace > /dev/null || { [ "$$(id -u)" = 0 ] && apt-get install -y strace; } \
		|| echo "strace is missing: the faults at real system calls are SKIPPED; apt-get install strace"

# Inputs that reach something new are kept beside the builds; `make fuzz-corpus` takes those that matter into the
# checkout. Without a sanitizer: it is safe code, and so it builds on a stable compiler, in half the time.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs)))
FUZZ_LIMITS := -max_len=16384 -timeout=20 -rss_limit_mb=2048
FUZZ_GROWN := $(CACHE)/fuzz
FUZZ := CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 $(TOOLS)/bin/cargo-fuzz
FUZZ_BUILD := -s none --features libfuzzer --codegen-units 16 --target-dir $(CARGO_TARGET_DIR)/fuzz

fuzz: $(TOOLS)/bin/cargo-fuzz
	$(FUZZ) build $(FUZZ_BUILD)
	@set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p $(FUZZ_GROWN)/$$target; echo "== $$target"; \
		$(FUZZ) run $(FUZZ_BUILD) $$target $(FUZZ_GROWN)/$$target fuzz/corpus/$$target -- \
			$(FUZZ_LIMITS) -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0; \
	done

fuzz-corpus: $(TOOLS)/bin/cargo-fuzz
	@set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p $(FUZZ_GROWN)/$$target; \
		$(FUZZ) run $(FUZZ_BUILD) $$target fuzz/corpus/$$target $(FUZZ_GROWN)/$$target -- \
			$(FUZZ_LIMITS) -max_len=4096 -merge=1; \
	done

$(TOOLS)/bin/cargo-fuzz:
	$(CARGO) install --quiet --locked --root $(TOOLS) cargo-fuzz

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
	rm -rf $(CARGO_TARGET_DIR) $(VENV) $(LOGIN_VENV) $(API_VENV)
