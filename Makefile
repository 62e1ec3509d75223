# make run    the queue on the shipped Jobs.csv, until nothing is open
# make test   the quick tests; make test-all: the long ones, too
# make check  format, lint, types, layers
# make bench  queue and training core beside their peers; writes docs/performance.md
# Each makes .venv when it is missing and then starts at once.

PYTHON ?= python3
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test test-all check format bench clean

run: $(VENV)/.installed
	@$(BIN)/python QueueManager.py run --until-idle

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

test-all: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not gpu"

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.jobqueue --install-peers --write docs/performance.md
	$(BIN)/python -m pip install -qq --constraint constraints.txt $(PIP_FLAGS) '.[peers]'
	$(BIN)/python -m benchmarks.training --write docs/performance.md

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV): a few minutes the first time, torch is large."
	@$(BIN)/python -m pip install -qq --constraint constraints.txt $(PIP_FLAGS) .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(BIN)/python -m pip install -qq --constraint constraints.txt $(PIP_FLAGS) '.[dev]'
	@touch $@
