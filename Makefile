# make demo: install what training needs, and train the quickstart.
# make test: lint, and every test but the slow ones.   make proofs: the slow ones.
# make campaign: hostile attempts for MINUTES (60), of SEED (0).
# make audit: compare the versions that are installed with the known weaknesses. It needs pypi.org.
# make docs: write the generated pages of docs/.
VENV      ?= .venv
PYTHON    ?= python3
BIN       := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEVELOPED := $(VENV)/.installed-dev
PYTEST    := $(BIN)/python -m pytest -n 2 --dist loadfile

MINUTES   ?= 60
SEED      ?= 0

.PHONY: demo test proofs campaign audit lint format docs clean

demo: $(INSTALLED)
	$(BIN)/translate-run recipes/quickstart.yaml
	@echo
	@echo "Pictures: runs/quickstart/samples. The table above compares the translations with their targets"
	@echo "(unchanged: the input taken as its own translation). Curves: $(BIN)/tensorboard --logdir runs"

test: lint
	$(PYTEST) -m "not slow"

proofs: $(DEVELOPED)
	$(PYTEST) -m slow

campaign: $(DEVELOPED)
	$(BIN)/python -m tests.campaigns --minutes $(MINUTES) --seed $(SEED) --figures

audit: $(DEVELOPED)
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+.*//' > $(VENV)/audited.txt
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement $(VENV)/audited.txt

lint: $(DEVELOPED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEVELOPED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DEVELOPED)
	$(BIN)/python docs/generate.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(INSTALLED): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# The installation for development holds that for the demo.
$(DEVELOPED): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $(INSTALLED) $@

clean:
	rm -rf $(VENV) build dist .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
