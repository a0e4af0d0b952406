# make demo   set up .venv and study the embedded digits (runs/digits/report.html)
# make test   set up .venv and run the tests
# make check  lint, types, layers, documentation

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: demo test check clean

demo: $(VENV)/.ready
	$(BIN)/spurion study digits --out runs/digits

test: $(VENV)/.ready-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typed_use.py
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/test_docs.py src/spurion

clean:
	rm -rf $(VENV) build dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Spurion needs Python 3.11 or newer; name one with make PYTHON=/path/to/python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing Spurion into $(VENV) (PyTorch is large: this takes a few minutes the first time)"
	$(PIP) --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing Spurion and its test tools into $(VENV)"
	$(PIP) --editable ".[dev]"
	@touch $@
