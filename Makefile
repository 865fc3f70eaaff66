# The one door: every target does its own set-up. Needs Python >= 3.11 with venv, and make.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One after the other, so that the closing line of pytest is the last one printed.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# An interpreter that is new enough and can make an environment. `make test PYTHON=/path/to/python` overrides it.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.14 python3; do \
	"$$p" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && exit; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
# How many test processes; more than cores, since most tests wait.
JOBS ?= 4
# Extra words for pytest, such as `make test ARGS="-k keeper"`.
ARGS ?=

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

# ------------------------------------------------------------------------------------------------------------- set-up
$(BIN)/python: | same-python
	@test -n "$(PYTHON)" || { echo "hadoken needs Python >= 3.11 with venv; none found. Try: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)

# An environment that is there stays what it is, so whoever asks for another Python must not be served by the old one.
.PHONY: same-python
same-python:
ifneq ($(origin PYTHON),file)
	@test ! -x $(BIN)/python || { \
		version='import sys; print(sys.implementation.name, sys.version)'; \
		has=$$($(BIN)/python -c "$$version") || exit 1; \
		wanted=$$("$(PYTHON)" -c "$$version") || { echo "PYTHON=$(PYTHON) does not run" >&2; exit 1; }; \
		test "$$has" = "$$wanted" || { \
			echo "$(VENV) was made with $${has%% (*}, and PYTHON=$(PYTHON) is $${wanted%% (*}." >&2; \
			echo "Run make clean, then this again." >&2; exit 1; }; }
endif

# Without isolation the build uses the pinned hatchling; without dependencies nothing unpinned comes in.
$(VENV)/run.stamp: $(BIN)/python requirements/run.txt pyproject.toml
	@echo "installing what hadoken needs to run"
	@$(PIP) install --require-hashes --requirement requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt
	@echo "installing the tools of a developer"
	@$(PIP) install --require-hashes --requirement requirements/dev.txt
	@touch $@

.PHONY: venv
venv: $(VENV)/dev.stamp ## Make the environment with all tools

# ---------------------------------------------------------------------------------------------------------------- use
.PHONY: demo
demo: $(VENV)/run.stamp ## Index the standard library with a worker and a local SQS
	@$(BIN)/hadoken demo

.PHONY: test
test: lint types imports pytest ## Check everything: lint, types, imports, tests

.PHONY: pytest
pytest: $(VENV)/dev.stamp clients ## Run the tests alone; ARGS="-k keeper" picks
	@PYTHONDEVMODE=1 $(BIN)/python -m pytest -n $(JOBS) $(ARGS)

.PHONY: lint
lint: $(VENV)/dev.stamp ## Lint, formatting and spelling
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format" >&2; $(BIN)/ruff format --check . >&2; exit 1; }
	@$(BIN)/codespell .

.PHONY: types
types: $(VENV)/dev.stamp ## mypy --strict and basedpyright
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/basedpyright

# Without its cache: that does not notice when a module appears which another one already imports.
.PHONY: imports
imports: $(VENV)/dev.stamp ## The floors, and that what is imported is required
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/deptry --no-ansi src

.PHONY: format
format: $(VENV)/dev.stamp ## Format the code and fix what a tool can fix
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

# Programs of others that we are tested with. One that cannot be installed fails nothing: the reason is kept
# beside it, its tests skip with that, and the next run tries again.
CLIENTS := .cache/clients
NEIGHBOURS := .cache/neighbours
.PHONY: clients
clients: $(CLIENTS)/aws-cli.stamp $(CLIENTS)/node.stamp $(NEIGHBOURS)/tracers.stamp

$(CLIENTS)/aws-cli.stamp: requirements/clients/aws-cli.txt | $(BIN)/python
	@echo "installing the AWS CLI, to test with"
	@rm -rf $(CLIENTS)/aws-cli && mkdir -p $(CLIENTS)
	@{ $(BIN)/python -m venv --without-pip $(CLIENTS)/aws-cli && $(PIP) --retries 1 --python $(CLIENTS)/aws-cli \
		install --no-deps --require-hashes --requirement $<; } >$(CLIENTS)/aws-cli.reason 2>&1 && touch $@ || true

# Beside hadoken and botocore, which its tests lend it.
$(NEIGHBOURS)/tracers.stamp: requirements/neighbours/tracers.txt | $(BIN)/python
	@echo "installing ddtrace and New Relic's agent, to test with"
	@rm -rf $(NEIGHBOURS)/tracers && mkdir -p $(NEIGHBOURS)
	@{ $(BIN)/python -m venv --without-pip $(NEIGHBOURS)/tracers && $(PIP) --retries 1 --python $(NEIGHBOURS)/tracers \
		install --no-deps --require-hashes --requirement $<; } >$(NEIGHBOURS)/tracers.reason 2>&1 && touch $@ || true

$(CLIENTS)/node.stamp: tests/clients/node/package.json tests/clients/node/package-lock.json
	@echo "installing the AWS SDK for Node.js, to test with"
	@rm -rf $(CLIENTS)/node && mkdir -p $(CLIENTS)/node && cp $^ $(CLIENTS)/node
	@npm ci --prefix $(CLIENTS)/node --ignore-scripts --no-audit --no-fund --fetch-retries 1 \
		>$(CLIENTS)/node.reason 2>&1 && touch $@ || true

# Those two look at what is chosen where nothing is asked for.
CHOSEN := tests/integration/test_stepping_aside.py tests/integration/test_sending_anywhere.py
.PHONY: pytest-other
pytest-other: $(VENV)/dev.stamp ## The integration tests again: on the botocore transport, then on asyncio's loop
	@HADOKEN_TRANSPORT=botocore PYTHONDEVMODE=1 $(BIN)/python -m pytest -n $(JOBS) tests/integration $(CHOSEN:%=--ignore=%) $(ARGS)
	@HADOKEN_LOOP=asyncio PYTHONDEVMODE=1 $(BIN)/python -m pytest -n $(JOBS) tests/integration $(ARGS)

.PHONY: coverage
coverage: $(VENV)/dev.stamp ## Print the branch coverage of the tests
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -n $(JOBS) $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

# The contenders of the benchmark, hadoken among them, each in an environment of its own of one and the same Python, which
# has to be 3.12 or newer since some of them need that. One that cannot be installed fails nothing: the reason is kept
# beside it and stands in the report, and the next run tries again.
PEERS := hadoken hadoken-uvloop boto3 celery dramatiq fanferro taskiq sqs-workers django-tasks
PYENVS := $$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.1[2-9]*/bin/python3 2>/dev/null | sort -rV)
BENCH_PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3 $(PYENVS); do \
	"$$p" -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1 && echo "$$p" && exit; done)
# Rounds of each measure; ROUNDS=1 for a first look.
ROUNDS ?= 3
BENCH := .cache/peers/hadoken/env/bin/python -m

.cache/peers/hadoken/peer.stamp: requirements/run.txt requirements/peers/harness.txt
.cache/peers/hadoken-uvloop/peer.stamp: requirements/run.txt requirements/peers/uvloop.txt
$(filter-out .cache/peers/hadoken%,$(PEERS:%=.cache/peers/%/peer.stamp)): .cache/peers/%/peer.stamp: requirements/peers/%.txt

# hadoken itself is not copied: what is measured is this checkout.
$(PEERS:%=.cache/peers/%/peer.stamp): .cache/peers/%/peer.stamp: | $(BIN)/python
	@test -n "$(BENCH_PYTHON)" || { echo "the benchmark needs Python >= 3.12; try: make bench BENCH_PYTHON=..." >&2; exit 1; }
	@echo "installing $* to compare with"
	@rm -rf .cache/peers/$* && mkdir -p .cache/peers/$*
	@{ "$(BENCH_PYTHON)" -m venv --without-pip .cache/peers/$*/env && \
		$(PIP) --retries 1 --python .cache/peers/$*/env/bin/python install --no-deps --require-hashes $(^:%=--requirement %) && \
		case $* in hadoken*) $(PIP) --python .cache/peers/$*/env/bin/python install --no-deps --no-build-isolation \
			--editable . ;; esac; } >.cache/peers/$*/reason 2>&1 && touch $@ || true

.PHONY: peers
peers: $(PEERS:%=.cache/peers/%/peer.stamp)

.PHONY: bench
bench: peers ## Compare with other ways to consume SQS, in about eight minutes; ROUNDS=1 for a first look
	@$(BENCH) benchmarks.consumers --rounds $(ROUNDS)

.PHONY: bench-production
bench-production: peers ## The same with TLS, 5 ms of round trip, 20 ms handlers and a log line each
	@$(BENCH) benchmarks.production --rounds $(ROUNDS)

.PHONY: bench-transport
bench-transport: peers ## What the transport alone costs: a receive, 200 waiting polls, the start
	@$(BENCH) benchmarks.transport --rounds $(ROUNDS)

.PHONY: bench-cost
bench-cost: peers ## Requests and dollars a month, by load, queues and workers
	@$(BENCH) benchmarks.cost

.PHONY: bench-scale
bench-scale: peers ## 1 to 400 queues, 1 to 256 handler threads, bodies of 200 B to 256 KiB
	@$(BENCH) benchmarks.scale

.PHONY: bench-local
bench-local: $(VENV)/dev.stamp ## Measure what the local SQS and the testing kit cost
	@$(BIN)/python -m benchmarks.server_cost
	@$(BIN)/python -m benchmarks.testing_kit
	@$(BIN)/python -m benchmarks.local_depth

.PHONY: profile
profile: $(VENV)/dev.stamp ## CPU per message of engine and handler threads, by stage
	@$(BIN)/python -m benchmarks.profile

# Second opinions for the conformance suite: other imitations of SQS, each in an environment of its own.
ORACLES := moto ministack roto-aws

.cache/oracles/%/oracle.stamp: requirements/oracles/%.txt | $(BIN)/python
	@echo "installing the oracle $*"
	@rm -rf .cache/oracles/$*/env && $(BIN)/python -m venv .cache/oracles/$*/env
	@.cache/oracles/$*/env/bin/python -m pip --disable-pip-version-check --quiet --quiet install --require-hashes \
		--requirement $<
	@touch $@

.PHONY: oracles
oracles: $(ORACLES:%=.cache/oracles/%/oracle.stamp)

.PHONY: conformance
conformance: $(VENV)/dev.stamp oracles ## Ask moto, ministack and roto-aws what the local SQS is asked; write the table
	@$(BIN)/python -m tests.support.conformance

# Seconds for each target. Findings are written to .cache/fuzz/found; a finding makes the command fail.
FUZZ_SECONDS ?= 60
.cache/fuzz/fuzz.stamp: requirements/fuzz.txt | $(BIN)/python
	@echo "installing atheris"
	@rm -rf .cache/fuzz/env && $(BIN)/python -m venv .cache/fuzz/env
	@.cache/fuzz/env/bin/python -m pip --disable-pip-version-check --quiet --quiet install --require-hashes \
		--requirement requirements/fuzz.txt
	@touch $@

.PHONY: fuzz
fuzz: .cache/fuzz/fuzz.stamp ## Fuzz the local SQS and what reads answers with atheris, a minute each; FUZZ_SECONDS=600 for longer
	@mkdir -p .cache/fuzz/found
	@for target in http_door json_protocol answers; do mkdir -p .cache/fuzz/corpus/$$target; \
		PYTHONPATH=src:. .cache/fuzz/env/bin/python -m tests.fuzz.$$target .cache/fuzz/corpus/$$target -print_final_stats=1 \
		-max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4096 -len_control=0 -verbosity=0 \
		-artifact_prefix=.cache/fuzz/found/$$target- || exit 1; done

.PHONY: requirements
requirements: $(BIN)/python ## Resolve and pin the requirements anew (UPGRADE=1: to the newest)
	@test -x .cache/uv/bin/uv || { $(BIN)/python -m venv .cache/uv && .cache/uv/bin/python -m pip --quiet install uv; }
	@$(COMPILE) pyproject.toml requirements/build.in --output-file requirements/run.txt
	@$(COMPILE) pyproject.toml requirements/build.in requirements/dev.in --constraint requirements/run.txt --output-file requirements/dev.txt
	@for oracle in $(ORACLES); do \
		$(COMPILE) requirements/oracles/$$oracle.in --output-file requirements/oracles/$$oracle.txt || exit 1; done
	@$(COMPILE) pyproject.toml requirements/fuzz.in --constraint requirements/run.txt --output-file requirements/fuzz.txt
	@$(COMPILE) requirements/clients/aws-cli.in --output-file requirements/clients/aws-cli.txt
	@$(COMPILE) requirements/neighbours/tracers.in --output-file requirements/neighbours/tracers.txt
	@for peer in $(filter-out hadoken%,$(PEERS)) uvloop harness; do \
		$(subst 3.11,3.12,$(COMPILE)) requirements/peers/$$peer.in --output-file requirements/peers/$$peer.txt || exit 1; done

# No index and no link may enter the pinned files: they are installed through whatever index the machine is set up with.
COMPILE = .cache/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make requirements" $(if $(UPGRADE),--upgrade)

.PHONY: changelog
changelog: $(VENV)/dev.stamp ## Show what the next version's changes would read
	@$(BIN)/towncrier build --draft

.PHONY: clean
clean: ## Remove everything that make made
	rm -rf $(VENV) .cache build dist htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
