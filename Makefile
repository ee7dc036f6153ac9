.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python
# Else each worker of the tests, and each gateway that they start, compiles every module again.
unexport PYTHONDONTWRITEBYTECODE
# Half as many workers again as cores: half of what tests do is waiting for clocks and leases.
TESTS = $(PY) -m pytest -n $(shell $(PY) -c 'import os; print((os.cpu_count() or 1) * 3 // 2)') \
	--dist loadfile --no-loadscope-reorder
# What the product does, tried again on PostgreSQL: where the store matters (not `sqlite_first`)
# by CI with every change, all of it in the soak.
FEATURES := tests/web tests/flow tests/money tests/walks
# `make check` has run the tests of the structure.
ALL := tests --ignore=tests/tidy

help:  ## this table
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: .venv/.run-ready  ## .venv with the `tillbell` command and the packages that it needs

dev: .venv/.dev-ready  ## the same, with the packages that tests and checks need

.venv/.run-ready: requirements/run.txt requirements/build.txt pyproject.toml setup.sh
	@./setup.sh run

# What is needed to run comes first: the dev set goes on top of it.
.venv/.dev-ready: requirements/dev.txt .venv/.run-ready
	@./setup.sh dev

demo: setup  ## run a gateway, a shop and flaky receivers on a temporary database
	@.venv/bin/tillbell demo

serve: setup  ## run the gateway on the default data directory
	@.venv/bin/tillbell serve --dev

test: dev  ## the tests of every change, the store on SQLite and PostgreSQL; ONLY=tests/rules for some
	@$(TESTS) $(or $(ONLY),$(ALL))

postgres: dev  ## what the product does, tried again on PostgreSQL, as CI does too
	@TEST_STORE=postgres $(TESTS) $(or $(ONLY),$(FEATURES))

browser: dev  ## the pages in Chromium, as CI does too
	@$(TESTS) -m "browser and not slow" $(or $(ONLY),tests/pages)

slow: dev  ## the slower tests, which CI runs too: processes, kills, moves, restores, pages
	@$(TESTS) -m slow $(ONLY)

soak: dev  ## the long tests in full on SQLite, and all features on PostgreSQL
	@TEST_SOAK=1 $(TESTS) -m "soak or slow or browser" $(ONLY)
	@TEST_SOAK=1 TEST_STORE=postgres $(TESTS) $(or $(ONLY),$(FEATURES))

check: dev  ## format, lint, types, structure: what CI runs first
	@.venv/bin/ruff format --check src tests bench
	@.venv/bin/ruff check src tests bench
	@.venv/bin/mypy
	@$(PY) -m pytest tests/tidy

fix: dev  ## format, and fix what can be fixed safely
	@.venv/bin/ruff format src tests bench
	@.venv/bin/ruff check --fix src tests bench

.venv-supply/.ready: requirements/supply.txt
	@$${PYTHON:-python3} -m venv --clear .venv-supply
	@.venv-supply/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	@touch $@

audit: .venv-supply/.ready  ## known vulnerabilities of what is shipped; says what it could not check
	@.venv-supply/bin/python requirements/audit.py

pages: dev  ## pictures of every page, in a folder; ARGS="--folder … --only messages"
	@$(PY) -m tests.pages $(ARGS)

shots: dev  ## write the screenshots of the README again, from the demo
	@$(PY) -m tests.pages.shots

wheel: dev  ## dist/: a wheel with compiled hot modules for this platform, and a pure one
	@rm -rf dist
	@.venv/bin/python -m hatchling build -t wheel -d dist
	@HATCH_BUILD_HOOK_ENABLE_CUSTOM=true .venv/bin/python -m hatchling build -t wheel -d dist

sbom: .venv-supply/.ready  ## write requirements/sbom.cdx.json from requirements/run.txt
	@requirements/sbom.sh

build/reference/.venv/.run-ready: bench/reference
	@rm -rf build/reference && git worktree prune
	@git worktree add --quiet --force --detach build/reference "$$(cat bench/reference)"
	@$(MAKE) --no-print-directory -C build/reference setup

guard: dev build/reference/.venv/.run-ready  ## fail if a hot route takes a tenth more than at the commit in bench/reference
	@$(PY) -m bench against --reference build/reference --least 0.9 $(ARGS)

bench: dev  ## measure the figures of docs/benchmarks.md
	@$(PY) -m bench $(ARGS)

flames: dev  ## draw docs/flames/*.svg, where the time goes under load; needs py-spy on the PATH
	@$(PY) -m bench flames $(ARGS)

scale: dev  ## measure claims on PostgreSQL with growing backlogs; ARGS="--sizes …"
	@$(PY) -m bench scale $(ARGS)

crash: dev  ## kill -9 loop, power cuts, write errors, full disk; CYCLES=100
	@$(PY) -m tests.crash --cycles $(or $(CYCLES),100)

faults: dev  ## a cluster on PostgreSQL with kills, lost networks and restarts; ARGS="--restarts 10"
	@$(PY) -m tests.faults $(ARGS)

.PHONY: help setup dev demo serve test postgres browser slow soak check fix audit pages shots wheel sbom guard
.PHONY: bench flames scale crash faults
