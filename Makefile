# Options for a command: make demo ARGS=--keep
# `make demo` and `make test` do all set-up themselves; they need Python 3.11 or newer, git and make.
PYTHON ?= python3
JOBS ?= 3
N ?= 200
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip install -qq

.DEFAULT_GOAL := help
.PHONY: help setup demo run test chaos fleet check bench format docs lock

help:  ## say what there is
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/make \1\t\2/p' Makefile

setup: $(STAMP)  ## make .venv from the lock file (done by the others when it is needed)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Issuewright needs Python 3.11 or newer; $(PYTHON) is older or missing. Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "Setting up $(VENV) from requirements.lock; the first time this takes about a minute." >&2
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { \
	  echo "No virtual environment could be made with $(PYTHON); on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)  ## watch the whole way from a labelled issue to a draft pull request, on this machine
	@$(BIN)/issuewright demo $(ARGS)

run: $(STAMP)  ## start the service with the settings of the environment and .env
	@$(BIN)/issuewright serve $(ARGS)

test: $(STAMP)  ## run all tests and require 95 % branch coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

chaos: $(STAMP)  ## kill processes and servers, cut at every boundary: make chaos N=200 SEED=7 ARGS='--stack sqlite'
	@$(BIN)/python -m tests.chaos --n $(N) $(if $(SEED),--seed $(SEED)) $(ARGS)

fleet: $(STAMP)  ## two web processes and three workers on Postgres and Redis, each request once: make fleet N=1000
	@$(BIN)/python -m tests.system.fleet --jobs $(N) $(ARGS)

check: $(STAMP)  ## lint, format, types and the floors of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: $(STAMP)  ## measure against references in the same run
	@$(BIN)/python benchmarks/startup.py
	@$(BIN)/python benchmarks/intake.py
	@$(BIN)/python benchmarks/memory.py
	@$(BIN)/python benchmarks/latency.py
	@$(BIN)/python benchmarks/loop.py
	@$(BIN)/python benchmarks/workspace.py
	@$(BIN)/python benchmarks/search.py

format: $(STAMP)  ## put the code into its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(STAMP)  ## write the generated parts of the docs and .env.example anew
	@$(BIN)/python -m tests.generated

lock:  ## write requirements.lock anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --all-extras --group dev --group build pyproject.toml -o requirements.lock
