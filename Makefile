# Every target does all the set-up it needs, inside this folder: nothing is installed globally.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
export PATH := $(abspath $(VENV)/bin):$(PATH)
export DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: demo test lint docs format ui clean

demo: $(STAMP)  ## train, evaluate and export a model of the town and place its test photos on the map
	aenet demo

test: $(STAMP)  ## run the test suite, two files at a time (tests/conftest.py says why files stay whole)
	python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

lint: $(STAMP)  ## ruff, mypy --strict, import-linter
	ruff check .
	ruff format .
	mypy
	lint-imports --no-cache  # its cache misses some edits

docs: $(STAMP)  ## this documentation as a site, build/docs/index.html; a warning is an error
	python docs/images/architecture.py  # drawn again where the imports have changed
	sphinx-build --quiet --fresh-env --fail-on-warning --keep-going --jobs auto -c docs . build/docs

format: $(STAMP)  ## write the code the way the linter wants it
	ruff check --fix .
	ruff format .

ui: $(STAMP)  ## browse the experiments on http://127.0.0.1:5000
	aenet ui

clean:  ## remove what the pipeline made, but for the virtual environment
	rm -rf .aenet .dvc/cache .dvc/tmp build data models reports demo mlflow.db mlartifacts .pytest_cache .mypy_cache .ruff_cache

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[pipeline,dev,docs]'
	touch $(STAMP)
