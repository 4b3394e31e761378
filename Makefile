# Everything a person or CI calls. `make help` lists it; a machine with Python >= 3.11 and make is enough.

VENV := .venv
INSTALLED := $(VENV)/.installed
LYCEUM := $(VENV)/bin/lyceum

# Trust what the machine trusts, as pip does: behind a company's proxy uv's own list of authorities is not enough.
AUTHORITIES := /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem
UV := $(VENV)/bin/uv $(if $(wildcard $(AUTHORITIES)),--system-certs)

# Workers and further arguments of the tests: make test WORKERS=0 ARGS='tests/unit -k partition'
WORKERS ?= 2
ARGS ?=
CHECKED_PYTHON := $(wildcard plugins dags tests bench docker)

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup run test test-exhaustive check format format-check lint types docs bench-collect bench-rls bench-archive bench-prune bench-api lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## build .venv from the locked, hashed requirements.txt (PYTHON=... chooses the interpreter)

# The stamp is written last, so an interrupted setup is taken up again by the next call.
$(INSTALLED): requirements.txt pyproject.toml
	@rm -f $@
	@$(FIND_PYTHON) \
	if ! $(VENV)/bin/python -m pip --version >/dev/null 2>&1; then \
	    echo "setup: creating $(VENV) with $$("$$python" --version)"; \
	    "$$python" -m venv --clear $(VENV) || { \
	        echo "setup: '$$python -m venv' failed. Expected: the standard library's venv and ensurepip" \
	             "(on Debian and Ubuntu: apt-get install python3-venv). Then run 'make setup' again." >&2; exit 1; }; \
	fi
	@# The installer comes from the same lock: its pinned and hashed entry alone.
	@awk '/^uv==/ { found = 1 } found && /^[^ ]/ && !/^uv==/ { exit } found' requirements.txt > $(VENV)/uv.txt
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.txt
	@echo "setup: installing $$(grep -c '^[a-z].*==' requirements.txt) locked packages, which takes about a minute"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --compile-bytecode --require-hashes -r requirements.txt
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --no-deps --editable .
	@touch $@
	@echo "setup: done, $$($(VENV)/bin/python --version) in $(VENV)"

# Sets the shell variable `python`, or stops with what was found and what to do.
define FIND_PYTHON
python=; \
for candidate in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
        python=$$candidate; break; \
    fi; \
done; \
if [ -z "$$python" ]; then \
    echo "setup: found no Python >= 3.11 as $(or $(PYTHON),python3$(comma) python3.13$(comma) python3.12 or python3.11)." \
         "Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 1; \
fi;
endef
comma := ,

run: $(INSTALLED) ## start the warehouse; ONCE=1 loads, builds and stops
	@$(LYCEUM) run $(if $(filter 1,$(ONCE)),--once) $(ARGS)

test: $(INSTALLED) ## run the tests (ARGS='-k name', WORKERS=0 for one process)
	@$(VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

test-exhaustive: $(INSTALLED) ## run the tests that take minutes
	@$(VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist worksteal -m exhaustive $(ARGS)

check: format-check lint types test ## what must be green before a change lands

format: $(INSTALLED) ## rewrite the Python sources in the house format
	@$(VENV)/bin/ruff format $(CHECKED_PYTHON)
	@$(VENV)/bin/ruff check --fix $(CHECKED_PYTHON)

format-check: $(INSTALLED)
	@$(VENV)/bin/ruff format --check $(CHECKED_PYTHON)

lint: $(INSTALLED) ## ruff and sqlfluff
	@$(VENV)/bin/ruff check $(CHECKED_PYTHON)
	@$(VENV)/bin/sqlfluff lint sql

types: $(INSTALLED) ## mypy --strict on the library
	@$(VENV)/bin/mypy

docs: $(INSTALLED) ## write docs/dags.md from the DAGs
	@$(VENV)/bin/python -m lyceum.orchestration.dag_index

bench-collect: $(INSTALLED) ## measure collecting
	@$(VENV)/bin/python bench/collect.py $(ARGS)

bench-rls: $(INSTALLED) ## measure row level security
	@$(VENV)/bin/python bench/row_level_security.py $(ARGS)

bench-archive: $(INSTALLED) ## measure archiving and restoring a partition (ARGS='--rows 1000000')
	@$(VENV)/bin/python bench/archive.py $(ARGS)

bench-prune: $(INSTALLED) ## measure dropping an expired raw day beside deleting its rows and beside pg_partman
	@$(VENV)/bin/python bench/prune.py $(ARGS)

bench-api: $(INSTALLED) ## measure the analytics API with wrk
	@$(VENV)/bin/python bench/api.py $(ARGS)

lock: $(INSTALLED) ## make requirements.txt from requirements.in
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url --no-emit-find-links requirements.in --output-file requirements.txt

clean: ## remove what setup and the tools made (never LYCEUM_HOME)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist plugins/lyceum.egg-info
	find $(CHECKED_PYTHON) -name __pycache__ -type d -prune -exec rm -rf {} +
