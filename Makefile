# `make demo`, `make test` and others first set up .venv from requirements.lock, if necessary.

PYTHON ?= python3
# Number of test processes, with one thread each.
JOBS ?= 2

BIN := .venv/bin
STAMP := .venv/installed
PACKAGES = $(shell grep -o '^[a-zA-Z0-9_.-]*==' requirements.lock | sort -u | wc -l)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint bench docs venv lock clean

help:
	@echo "make demo    train on toy data without and with adaptation, and compare (minutes on a CPU)"
	@echo "make test    run the tests (JOBS=2 processes)"
	@echo "make lint    ruff check, ruff format --check, mypy"
	@echo "make bench   time the costly parts (benchmarks/); whole steps: python -m tools.benchmark"
	@echo "make docs    build the documentation into site/; a broken link is an error"
	@echo "make venv    set up .venv from requirements.lock (PYTHON=python3)"
	@echo "make lock    bring requirements.lock up to date with requirements*.txt"
	@echo "make clean   remove .venv and caches; data, weights and work_dirs stay"

demo: $(STAMP)
	$(BIN)/python run_experiments.py --exp 0

# Programs that the tests start are compiled once, also where PYTHONDONTWRITEBYTECODE is set.
test: $(STAMP)
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -rs

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m pytest benchmarks --timeout 1500

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Locked versions are kept while they fit; `make lock UPGRADE=--upgrade` renews all of them. The index
# that packages come from is not written to the file.
lock: $(STAMP)
	$(BIN)/uv pip compile --universal --python-version 3.10 --generate-hashes --no-annotate \
		--no-emit-index-url --custom-compile-command "make lock" --quiet $(UPGRADE) \
		requirements.txt requirements-*.txt -o requirements.lock

venv: $(STAMP)

# pip keeps packages of the right version, so running this again downloads nothing. Debian's python3
# without its venv package cannot install pip in a new environment; then pip does it.
$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null || \
		{ echo "error: no $(PYTHON) here: install Python 3.10 or newer, or run make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "error: Python 3.10 or newer is needed, but $(PYTHON) is $$($(PYTHON) --version 2>&1): run make PYTHON=/path/to/newer/python" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { \
		echo "$(PYTHON) cannot create a venv with pip: installing pip separately" >&2; \
		$(PYTHON) -m venv --clear --without-pip .venv && $(PYTHON) -m pip --python $(BIN)/python install pip; }
	@echo "installing the locked packages into .venv ($(PACKAGES) packages, several GB)"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .benchmarks build site sepico_mmseg.egg-info
	find mmseg tools tests benchmarks demo configs -name __pycache__ -type d -prune -exec rm -rf {} +
