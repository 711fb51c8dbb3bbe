# make demo: install and train the quickstart.   make test: lint and the whole test suite.
# make docs: write what of docs/ is generated from the code.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test lint format docs clean

demo: $(STAMP)
	$(BIN)/translate-run recipes/quickstart.yaml
	@echo
	@echo "The pictures: runs/quickstart/samples. What was learned, against the truth: see the table above"
	@echo "(unchanged = the input taken for the translation). Curves: $(BIN)/tensorboard --logdir runs"

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python docs/generate.py

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
