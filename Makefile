# selfnorm: every target sets up what it needs; a second run installs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOWEST := .venv-lowest
ZOO := .venv-zoo
INSTALL := -m pip install --quiet --disable-pip-version-check

# For `make test-lowest`: what is at its floor has no wheels for a later one.
PYTHON311 ?= $(PYTHON)
V311 := (3, 11)
# What takes minutes and asks for nothing but torch and Triton, which are the same at both ends; what audits
# the same mistakes once more; what reads our files alone; and what runs the whole, as the pages' blocks do,
# which stay.
LEFT_OUT := test_benchmarks.py test_examples.py test_reproductions.py init training optim \
  $(addprefix nn/test_,fused.py members.py mlp.py) auditing/test_gains.py theory/test_network_kernel.py \
  tabular/test_ensemble.py tabular/test_infinite.py tabular/test_search.py tabular/stream \
  test_tabular_benchmark.py \
  $(addprefix ops/test_,compiler.py corners.py derivatives.py gpu.py inplace.py registered.py) \
  $(addprefix converting/test_,mending.py networks.py) wild zoo \
  $(addprefix test_,files.py layout.py public_names.py torch_private.py)
# The same of single tests, and of cases whose names begin so.
OF_TORCH := nn/test_ways_out.py::test_in_training[ nn/test_ways_out.py::test_in_evaluation[compile- \
  nn/test_ways_out.py::test_files_need_no_selfnorm nn/test_ways_out.py::test_pickles_and_copies

# A virtual environment: where, with which Python, which versions do, and what to say to others.
define new-venv
@$(2) -c 'import sys; v = sys.version_info; sys.exit(0 if v $(3) else f"$(4), and $(2) is {v[0]}.{v[1]}. Name another: make $(5)")'
$(2) -m venv $(1)
endef

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-lowest zoo bench bench-quick tabular tabular-quick paper paper-full check lint types docs format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 15

setup: $(STAMP) ## virtual environment, pinned dependencies, the package

$(STAMP): pyproject.toml constraints.txt
	$(call new-venv,$(VENV),$(PYTHON),>= $(V311),selfnorm needs Python 3.11 or later,PYTHON=python3.12)
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## train plain networks of 100 and 1,000 layers on real data; draws demo/depth.png
	$(BIN)/python examples/depth.py --epochs 6 --deep 1000 --output demo

test: $(STAMP) ## all tests, on all cores
	$(BIN)/python -m pytest -n auto --dist worksteal -q

test-lowest: $(LOWEST)/.installed ## the tests with the lowest versions that pyproject.toml allows, on Python 3.11
	$(LOWEST)/bin/python -m pytest -n auto --dist worksteal -q $(LEFT_OUT:%=--ignore=tests/%) \
	  $(OF_TORCH:%='--deselect=tests/%')

$(LOWEST)/.installed: pyproject.toml constraints-lowest.txt
	$(call new-venv,$(LOWEST),$(PYTHON311),[:2] == $(V311),the lowest versions need Python 3.11,PYTHON311=python3.11)
	$(LOWEST)/bin/python $(INSTALL) -r constraints-lowest.txt -e .
	@touch $@

zoo: $(ZOO)/.installed ## audit and convert networks of other packages; build/zoo
	$(ZOO)/bin/python -m tests.zoo

# Without dependencies: the list is whole, and some of it asks for another torch.
$(ZOO)/.installed: pyproject.toml tests/zoo/requirements.txt
	$(call new-venv,$(ZOO),$(PYTHON),>= $(V311),selfnorm needs Python 3.11 or later,PYTHON=python3.12)
	$(ZOO)/bin/python $(INSTALL) --no-deps -r tests/zoo/requirements.txt -e .
	@touch $@

bench: $(VENV)/.bench ## all benchmarks against torch and JAX, some 15 minutes; docs/benchmarks.md
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.bench ## the same in a minute and a half, to see that they run
	$(BIN)/python -m benchmarks --quick

$(VENV)/.bench: $(STAMP)
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[bench]'
	@touch $@

tabular: $(VENV)/.tabular ## the estimators beside today's methods on 75 tables, days; goes on where it stopped
	$(BIN)/python -m benchmarks.tabular --half all
	$(BIN)/python -m benchmarks.tabular --half regression
	$(BIN)/python -m benchmarks.tabular --tasks htru2
	$(BIN)/python -m benchmarks.tabular.speed
	$(BIN)/python -m benchmarks.tabular.judge --half all
	$(BIN)/python -m benchmarks.table

QUICKLY := --splits 0 --methods selfnorm,RandomForest,SVC,MLP,LightGBM,HistGradientBoosting --results build/tabular

tabular-quick: $(VENV)/.tabular ## the same in five minutes: small tasks, one split, quick methods; build/tabular
	rm -rf build/tabular
	$(BIN)/python -m benchmarks.tabular $(QUICKLY) --most-rows 1000
	$(BIN)/python -m benchmarks.tabular.judge $(QUICKLY)

$(VENV)/.tabular: $(STAMP)
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[tabular]'
	@touch $@

DATA ?= ../shared/data
PAPER := -m reproductions --data $(DATA) --processes 2

paper: $(VENV)/.paper ## the paper's tables and figures in a short form, 20 minutes on two quiet cores; docs/paper.md
	$(BIN)/python $(PAPER)

paper-full: $(VENV)/.paper ## the same as near to the paper as is written down, days; goes on where it stopped
	$(BIN)/python $(PAPER) --full

$(VENV)/.paper: $(STAMP)
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[paper]'
	@touch $@

# The tests build the documentation, as strictly as `make docs`. They take all cores; what comes before, one
# each, as pip does: so both environments are made side by side.
check: ## what CI runs: lint, types, tests at both ends, documentation
	$(MAKE) --no-print-directory -j2 lint types $(LOWEST)/.installed
	$(MAKE) --no-print-directory test test-lowest

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

clean: ## remove what was built, the virtual environments too
	rm -rf $(VENV) $(LOWEST) $(ZOO) build site demo dist .pytest_cache .ruff_cache
