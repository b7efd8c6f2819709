# selfnorm: every target sets up what it needs; a second run installs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test bench bench-quick check lint types docs format clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

setup: $(STAMP) ## virtual environment, pinned dependencies, the package

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"selfnorm needs Python 3.11 or later, and $(PYTHON) is {v[0]}.{v[1]}. Name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## train the same 32-layer network four ways on real data; draws demo/depth.png
	$(BIN)/python examples/depth.py --epochs 30 --output demo

test: $(STAMP) ## all tests, on all cores
	$(BIN)/python -m pytest -n auto -q

bench: $(VENV)/.bench ## all benchmarks against torch and JAX, some 15 minutes; docs/benchmarks.md
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.bench ## the same in a minute and a half, to see that they run
	$(BIN)/python -m benchmarks --quick

$(VENV)/.bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@

check: lint types test docs ## what CI runs: lint, types, tests, documentation

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## basedpyright, strict on src
	$(BIN)/basedpyright

docs: $(STAMP) ## the documentation, built strictly into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(STAMP) ## mend lint and format where that is safe
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what was built, the virtual environment too
	rm -rf $(VENV) site demo dist .pytest_cache .ruff_cache
