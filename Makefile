# Everything a newcomer or CI needs; each target does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
READERS := .venv-readers

.PHONY: quickstart test test-all test-readers check bench clean install
.DEFAULT_GOAL := quickstart

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

quickstart: $(STAMP)
	$(BIN)/curricle run quickstart

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: check
	$(BIN)/pytest -n auto --dist worksteal -m "not slow"

test-all: check
	$(BIN)/pytest -n auto --dist worksteal

# Other trainers' own packages can't live beside ours: they read our exports in a place of their own.
test-readers: $(STAMP) $(READERS)/.installed
	CURRICLE_READERS=$(READERS)/bin/python $(BIN)/pytest tests/recipes/exporting

$(READERS)/.installed:
	rm -rf $(READERS)
	$(PYTHON) -m venv $(READERS)
	$(READERS)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 \
		mosaicml-streaming==0.13.0 ai2-olmo-core==3.0.0
	touch $@

bench: $(STAMP)
	$(BIN)/python benchmarks/kernels.py --device cpu

clean:
	rm -rf $(VENV) $(READERS) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
