# Everything a developer types. `make` alone lists it.
PYTHON ?= python3
export PYTHON
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -q

.DEFAULT_GOAL := help
.PHONY: help setup demo dev check format test test-fast test-e2e bench ci lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: ## Set everything up and hear one person speak to two others through a real LiveKit
	@tools/setup.sh run
	@$(BIN)/utd demo

dev: ## Run the whole stack on this machine for developing an app
	@tools/setup.sh run
	@$(BIN)/utd dev

setup: ## Make .venv with everything for checks and tests
	@tools/setup.sh dev

check: setup ## Format, lint, types, import contracts, sizes
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/basedpyright
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/check_tree.py

format: setup ## Format and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: check test-fast test-e2e ## All checks and all tests, with a real LiveKit

# Sound and processes on a busy machine: what fails gets one second look, loudly. A bug fails twice.
AGAIN := echo "=== failed: a second look at what failed, alone ===" && $(PYTEST) --last-failed --last-failed-no-failures none

test-fast: setup ## Tests that need no media server of their own
	$(PYTEST) -n 2 --dist loadfile -m "not e2e" || { $(AGAIN) -m "not e2e"; }

test-e2e: setup ## Tests with a real LiveKit and real sound
	$(BIN)/utd livekit install
	$(PYTEST) -m e2e || { $(AGAIN) -m e2e; }

bench: setup ## Measure: prints ratios within this run
	$(BIN)/utd livekit install
	$(BIN)/python bench/run.py

ci: test ## What continuous integration runs

lock: ## Write requirements/*.txt anew from the pyproject files
	@tools/lock.sh

clean: ## Forget .venv, caches and the development state
	rm -rf .venv .utd .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
