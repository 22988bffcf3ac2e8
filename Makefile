# One line a target. `make test` and `make demo` need nothing but Python 3.11 or later; the rest follows from them.
# .venv is made once and used again until constraints.txt, requirements-dev.txt or a pyproject.toml changes.

PYTHON ?= python3
VENV ?= .venv
RUN_FILE ?= examples/sma_crossover/run.toml
WORKLOAD ?= all
PYTEST ?= --numprocesses=auto --cov --cov-report=term:skip-covered

BIN := $(VENV)/bin
PLUGINS := $(patsubst %/pyproject.toml,%,$(sort $(wildcard plugins/*/pyproject.toml)))
PACKAGES := qengine_core $(notdir $(sort $(wildcard plugins/*/qengine_*)))
PROJECTS := pyproject.toml $(PLUGINS:%=%/pyproject.toml) constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help test demo lint types tests search docs bench clean

help: ; @sed -n 's/^#: //p' Makefile

#: make demo    run the main example on real daily US stocks, and say where the report is
demo: $(VENV)/run ; $(BIN)/qengine run $(RUN_FILE)

#: make test    lint, types, tests with coverage, documentation examples
test: $(VENV)/dev ; @$(MAKE) --no-print-directory --keep-going lint types tests

#: make lint    ruff: rules and format
lint: $(VENV)/dev ; $(BIN)/ruff check . && $(BIN)/ruff format --check .

#: make types   mypy, strict, over the kernel and every plugin
types: $(VENV)/dev ; $(BIN)/mypy $(PACKAGES:%=--package %)

#: make tests   the tests alone; PYTEST="-k words" narrows them
tests: $(VENV)/dev ; $(BIN)/qengine warmup && $(BIN)/python -m pytest --hypothesis-profile=ci $(PYTEST)

#: make search  the properties again with examples that nobody has tried, which may find what was there before a change
search: $(VENV)/dev ; $(BIN)/python -m pytest --numprocesses=auto -m hypothesis

#: make docs    the manual; a warning is an error
docs: $(VENV)/dev ; $(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html && echo "The manual is in docs/_build/html/index.html"

#: make bench   the workloads that the README's figures come from; WORKLOAD=W1 for one
bench: $(VENV)/dev ; $(BIN)/python -m benchmarks run $(WORKLOAD)

#: make clean   remove what was made here, the environment and the run folders too
clean: ; rm -rf $(VENV) runs docs/_build docs/reference .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The environment, in three steps that are each done once: made, able to run, able to develop.
$(VENV)/made: ; @$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "QEngine needs Python 3.11 or later, and $(PYTHON) is %d.%d: name another one, as in make PYTHON=python3.12." % sys.version_info[:2])' && $(PYTHON) -m venv $(VENV) && touch $@

$(VENV)/run: $(VENV)/made $(PROJECTS) ; @echo "Installing the kernel and the plugins into $(VENV) ..." && $(PIP) hatchling editables && $(PIP) --no-build-isolation $(patsubst %,--editable %,. $(PLUGINS)) && touch $@

$(VENV)/dev: $(VENV)/run requirements-dev.txt ; @echo "Installing the development tools into $(VENV) ..." && $(PIP) --requirement requirements-dev.txt && touch $@
