# Two commands: `make demo` runs everything on a corpus gathered here, `make test` runs the tests.
# While you work: `make quick` runs the unit tests of what changed, `make quick ROOMS="scan text"` those named.
PYTHON ?= python3
BIN := .venv/bin

# a container may forbid bytecode: then each command compiles all of Python's modules again, a second
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo quick test test-all check docs campaign audit format clean

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "rote needs Python 3.11 or later; name one: make setup PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/rote sample demo/corpus
	$(BIN)/rote run demo/corpus --out demo/run -c demo/corpus/_SAMPLE.toml

quick: setup
	@$(BIN)/python tests/quick.py $(ROOMS)

# two processes, a file of tests in one of them, in the order of tests/conftest.py: the long files first
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-all: setup
	$(BIN)/python -m pytest -m "not gpu"

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -p no:randomly tests/unit/test_docstrings.py
	$(BIN)/sqlfluff lint --disable-progress-bar sql

# the pages of docs/ as a site in build/site, which loads nothing from anywhere
docs: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# kills, damage, refusals, loss of power, hostile and random inputs, for so many minutes; again goes on
# where it stopped (.campaign/state.jsonl). docs/reliability.md is written from its table.
MINUTES ?= 25
campaign: setup
	$(BIN)/python -m tests.campaign --minutes $(MINUTES) --json .campaign/table.json

# known faults in what is installed, where an index of them answers; no part of `make check`
audit: setup
	@$(BIN)/python tests/audit.py

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .campaign demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
