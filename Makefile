# Needs Python >= 3.11 and make. Everything else is fetched into this folder on first use; nothing is installed elsewhere.

.DEFAULT_GOAL := help
.PHONY: help demo test check fix bench

# Given, PYTHON is also the Python of the project's environment; not given, uv picks a suitable one.
ifdef PYTHON
export UV_PYTHON := $(PYTHON)
endif
PYTHON ?= python3

# uv refuses every command here when it is older than pyproject.toml asks; then, and without any, one is fetched.
UV := $(shell uv cache dir >/dev/null 2>&1 && command -v uv || echo .uv/bin/uv)

# Tests and the demo start many short-lived servers, and each would otherwise compile its imports again.
export UV_COMPILE_BYTECODE := 1

ifneq ($(shell test -w "$${XDG_CACHE_HOME:-$$HOME}" && echo writable),writable)
export UV_CACHE_DIR := $(CURDIR)/.uv-cache
export UV_CREDENTIALS_DIR := $(CURDIR)/.uv-cache/credentials
endif

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s%s\n", $$1, $$2 }' Makefile

demo: $(UV) ## Answer questions on demo data, without any key
	@$(UV) run --quiet opsroom demo $(ARGS)

# A file stays with one worker, so that what its tests share (an engine, a repository) is made once.
test: $(UV) ## Run all tests; make test ARGS="-k redact" runs some
	$(UV) run pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile $(ARGS)

check: $(UV) ## Check the lock file, format, lint, types and import rules
	$(UV) lock --check
	$(UV) run ruff format --check
	$(UV) run ruff check
	$(UV) run pyright
	$(UV) run lint-imports

fix: $(UV) ## Format, and repair what the linter can
	$(UV) run ruff check --fix
	$(UV) run ruff format

bench: $(UV) ## Run every benchmark
	@for file in benchmarks/*.py; do echo "== $$file"; $(UV) run --quiet python "$$file" || exit 1; done

.uv/bin/uv:
	@echo "Fetching uv into .uv"
	@rm -rf .uv
	@{ $(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet --no-cache-dir "uv>=0.13,<0.14"; } \
	|| { rm -rf .uv; $(PYTHON) -m pip install --quiet --no-cache-dir --target .uv "uv>=0.13,<0.14"; } \
	|| { echo "$(PYTHON) has neither venv nor pip. Install one of them, or uv." >&2; exit 1; }
