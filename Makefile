.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python
LOCK := requirements/dev.txt
# Half as many workers again as cores: half of what tests do is waiting for clocks and leases.
PARALLEL = -n $(shell $(PY) -c 'import os; print((os.cpu_count() or 1) * 3 // 2)') \
	--dist loadfile --no-loadscope-reorder
# What the product does, tried again on PostgreSQL.
FEATURES := tests/web tests/flow tests/money tests/walks

help:  ## this table
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: .venv/.ready  ## make .venv with the locked dependencies and the `tillbell` command

.venv/.ready: $(LOCK) pyproject.toml
	@./setup.sh

demo: setup  ## a gateway, a pretend shop and a flaky receiver on a throw-away database
	@.venv/bin/tillbell demo

serve: setup  ## run the gateway on the default data directory
	@.venv/bin/tillbell serve --dev

test: setup  ## all tests that take seconds
	@$(PY) -m pytest $(PARALLEL) $(ONLY)
	@TEST_STORE=postgres $(PY) -m pytest $(PARALLEL) $(or $(ONLY),$(FEATURES))

check: setup  ## format, lint, types, structure: what CI runs first
	@.venv/bin/ruff format --check src tests bench
	@.venv/bin/ruff check src tests bench
	@.venv/bin/mypy
	@$(PY) -m pytest tests/tidy

fix: setup  ## format, and fix what can be fixed safely
	@.venv/bin/ruff format src tests bench
	@.venv/bin/ruff check --fix src tests bench

bench: setup  ## the figures of docs/benchmarks.md, measured here and now
	@$(PY) -m bench $(ARGS)

scale: setup  ## claims on PostgreSQL with more and more that waits; ARGS="--sizes …"
	@$(PY) -m bench scale $(ARGS)

crash: setup  ## kill -9 loop, power cuts, write errors, full disk; CYCLES=100
	@$(PY) -m tests.crash --cycles $(or $(CYCLES),100)

faults: setup  ## a fleet on PostgreSQL that is killed, cut off, restarted; ARGS="--restarts 10"
	@$(PY) -m tests.faults $(ARGS)

.PHONY: help setup demo serve test check fix bench scale crash faults
