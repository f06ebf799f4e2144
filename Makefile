# What people and CI type. Every target sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
REAL := $(shell cat tests/min_real_tests)
export AWEIGH_KILL_ROUNDS := 20
# Real processes with real deadlines on a busy machine: a failure counts when it comes
# back. Reruns are named in the summary, so that a test that needs them is seen.
RERUN := $(if $(CI),--reruns 2 --reruns-delay 1 -r R)
# Tests start processes by the hundred: what these import is compiled once for all.
COMPILED := env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX=$(abspath $(VENV)/pycache)
# Two at a time, for a test mostly waits for others; then, one by one, those that measure
# the machine or a service as a whole. Of both, so many must pass with the real services.
define every-test
	$(COMPILED) AWEIGH_MIN_REAL_TESTS=$(word 1,$(REAL)) $(1) -m pytest -q $(RERUN) -n 2 --dist worksteal -m "not alone"
	$(COMPILED) AWEIGH_MIN_REAL_TESTS=$(word 2,$(REAL)) $(1) -m pytest -q $(RERUN) -m alone
endef

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: demo
demo: $(VENV)/ready ## Set up what is missing, then prepare this repository's own code and run it
	@.ci/demo

.PHONY: test
test: $(VENV)/ready services check ## Set up what is missing, then run every check and test
	$(call every-test,$(BIN)/python)

.PHONY: coverage
coverage: $(VENV)/ready services ## Run every test, and fail where one part of the code is covered too little
	$(BIN)/coverage erase
	$(call every-test,$(BIN)/coverage run)
	$(BIN)/coverage combine -q
	$(BIN)/coverage json -q -o .coverage.json
	$(BIN)/python .ci/coverage_floor.py .coverage.json

.PHONY: check
check: $(VENV)/ready ## Lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports

.PHONY: services
services: ## Start the engine, registries and object store of the tests (root on Debian/Ubuntu)
	@.ci/setup

.PHONY: soak
soak: export AWEIGH_KILL_ROUNDS := 1000
soak: export AWEIGH_FLIPPED := 300
soak: $(VENV)/ready services ## Kill, damage and race the database and bundles for a long time
	$(COMPILED) $(BIN)/python -m pytest -q tests/backends/localdb
	$(COMPILED) $(BIN)/python -m pytest -q -rP tests/bundle/test_kills.py tests/bundle/test_model.py

.PHONY: packages
packages: $(VENV)/ready services ## Assemble large package sets and let foreign tools judge
	$(BIN)/python -m pytest -q -rA tests/packages -m "packages or not packages"

.PHONY: peers
peers: $(VENV)/ready services ## Run beside Flyte, Prefect, Ray and Dask, each in an environment of its own
	$(BIN)/python -m pytest -q -rA tests/peers -m "peers or not peers"

.PHONY: bench
bench: $(VENV)/ready services ## Run the benchmarks beside their peers, and write benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks.results

.PHONY: bench-quick
bench-quick: $(VENV)/ready services ## A few rounds of the benchmarks that take seconds
	$(BIN)/python -m benchmarks.bench_check 5
	$(BIN)/python -m benchmarks.bench_warm 3
	$(BIN)/python -m benchmarks.bench_bundle --quick
	$(BIN)/python -m benchmarks.bench_flows --runs 1 --sides docker,ours,cli,build

.PHONY: dist
dist: $(VENV)/ready services ## Build what is published and test that, not src/: lowest versions, other Pythons
	.ci/dist build
	.ci/dist size
	.ci/dist test
	AWEIGH_MIN_REAL_TESTS=0 .ci/dist test --lowest -m 'not real'
	export AWEIGH_MIN_REAL_TESTS=0; for python in $$(.ci/dist pythons); do \
		.ci/dist test --python "$$python" -m 'not real'; done

DOCS := docs/_build
.PHONY: docs
docs: $(DOCS)/env/ready ## Build the documentation and run what it shows: docs/_build/html
	$(DOCS)/env/bin/sphinx-build -q -n -W --keep-going -b doctest docs $(DOCS)/doctest
	$(DOCS)/env/bin/sphinx-build -q -n -W --keep-going -b html docs $(DOCS)/html
	@echo "docs: open $(DOCS)/html/index.html"

.PHONY: clean
clean: ## Stop the services and remove what was built
	.ci/teardown
	rm -rf $(VENV) $(DOCS) .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

$(VENV)/ready: pyproject.toml .ci/python
	@.ci/python $(VENV) dev
	@touch $@

$(DOCS)/env/ready: pyproject.toml .ci/python
	@.ci/python $(DOCS)/env docs
	@touch $@
