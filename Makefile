# Everything happens in a virtual environment of its own.
VENV ?= .venv
PYTHON ?= python3
# The torch build of your choice, for instance TORCH="torch --index-url <address>".
TORCH ?= torch
BIN = $(VENV)/bin

.PHONY: install demo test lint format check-estimators doc clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt $(TORCH)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

# The main job: train on wrong labels and find them.
demo: install
	$(BIN)/python examples/plot_label_errors_digits.py

test: demo
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# scikit-learn's estimator checks at the defaults, for every loss.
check-estimators: install
	$(BIN)/python benchmarks/check_estimators.py

# The site, in doc/_build/html; it runs the examples, and a warning is an error.
doc: $(VENV)/.installed-doc
	$(BIN)/sphinx-build -W --keep-going -b html doc doc/_build/html

$(VENV)/.installed-doc: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[doc]"
	touch $@

clean:
	rm -rf doc/_build doc/api/generated doc/auto_examples doc/sg_execution_times.rst
	rm -rf $(VENV) build dist *.egg-info
	rm -rf .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
