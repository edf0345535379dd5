# Everything happens in a virtual environment of its own.
VENV ?= .venv
PYTHON ?= python3
# The torch build of your choice, for instance TORCH="torch --index-url <address>".
TORCH ?= torch
# The versions to install, and which extra of pyproject.toml.
CONSTRAINTS ?= constraints.txt
EXTRA ?= dev
OLDEST_PYTHON ?= python3.11
NEWEST_PYTHON ?= python3.13
BIN = $(VENV)/bin
PYTEST = $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: install demo test suite test-oldest test-newest test-dist lint format
.PHONY: check-estimators doc clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) $(TORCH)
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) -e ".[$(EXTRA)]"
	touch $@

# The main job: train on wrong labels and find them.
demo: install
	$(BIN)/python examples/plot_label_errors_digits.py

test: demo
	$(PYTEST)

# The tests alone.
suite: install
	$(PYTEST)

# The tests with the lower bounds of pyproject.toml, and with the newest versions.
test-oldest:
	$(MAKE) suite VENV=.venv-oldest PYTHON=$(OLDEST_PYTHON) EXTRA=test \
		CONSTRAINTS=constraints-oldest.txt

test-newest:
	$(MAKE) suite VENV=.venv-newest PYTHON=$(NEWEST_PYTHON) EXTRA=test \
		CONSTRAINTS=constraints-newest.txt

# What is published: both archives are built; the wheel without extras trains in an empty
# environment; the source archive's own tests run.
test-dist: install
	rm -rf dist .venv-dist
	$(BIN)/python -m build --quiet
	$(PYTHON) -m venv .venv-dist
	.venv-dist/bin/python -m pip install --quiet -c constraints.txt $(TORCH)
	.venv-dist/bin/python -m pip install --quiet -c constraints.txt dist/*.whl
	tar -xzf dist/*.tar.gz -C .venv-dist
	awk '/^```/ {n++; next} n == 1' README.md | (cd .venv-dist && bin/python -)
	.venv-dist/bin/python -m pip install --quiet -c constraints.txt \
		"$$(echo dist/*.whl)[test]"
	cd .venv-dist/sklearn_noisy-* && ../bin/python -m pytest -n 2 --dist worksteal

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
	rm -rf $(VENV) .venv-oldest .venv-newest .venv-dist build dist *.egg-info
	rm -rf .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
