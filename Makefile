# One door for people and for CI. `make` lists what it opens.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
PIP := pip==26.3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup demo stop serve worker check test test-fast test-compose chaos bench bench-gpu lock format clean

help: ## List these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2 }'

setup: $(READY) ## Create .venv with everything, at the locked versions

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "wanserve needs Python 3.11 or newer; name one: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing wanserve into $(VENV). The first time this takes minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	@touch $@

demo: setup ## Make one real video end to end, and leave the service running
	@$(BIN)/python -m scripts.demo

stop: setup ## Stop the service that `make demo` left running
	@$(BIN)/python -m scripts.stop

serve: setup ## Run gateway, worker and the embedded parts until Ctrl-C (PORT, DATA_DIR)
	@$(BIN)/python -m scripts.serve

worker: setup ## Run the workers alone, one for each GPU, for the Redis and the bucket of the environment
	@$(BIN)/python -m workers --gpus all

check: setup ## Lint, types, import contracts
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	hadolint deploy/Dockerfile.*
	check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/docker-compose.yml
	pytest --quiet tests/unit/test_kubernetes.py tests/integration/test_metrics.py -k 'kubernetes or alert or promtool'

test: setup ## Every test, on real parts
	pytest

test-fast: setup ## The tests that take no processes or models
	pytest tests/unit tests/contract -m "not slow"

test-compose: setup ## Build the containers, run the stack, kill a worker (ARGS="--local-bases")
	@$(BIN)/python -m scripts.test_compose $(ARGS)

chaos: setup ## Kill and pause everything for CHAOS_SECONDS (300), and account for every job
	@$(BIN)/python -m scripts.chaos

bench: setup ## Measure against plain alternatives, side by side
	@$(BIN)/python -m scripts.bench

bench-gpu: setup ## Measure real shapes with random weights, where a CUDA GPU is present
	@$(BIN)/python -m scripts.bench_gpu

# Versions without hashes: with these pip installs nothing in place, and no wheel of a mirror, such as torch's for CPUs.
lock: setup ## Pin every dependency for every platform
	$(BIN)/python -m pip install --quiet uv
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --no-header --quiet --upgrade --output-file requirements.lock

format: setup ## Let ruff lay out the code
	ruff format .
	ruff check --fix .

clean: ## Stop the demo, and remove the environment, caches and the demo's data
	@if [ -e .wanserve/serve.json ]; then DATA_DIR=.wanserve $(BIN)/python -m scripts.stop; fi
	rm -rf $(VENV) .wanserve build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
