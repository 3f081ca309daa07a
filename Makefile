# `make demo` and `make test` do everything on a fresh machine with Python 3.10 or later.
PYTHON ?= python3
BIN := .venv/bin
# the benchmarks' peers live in an environment of their own
BENCH := .venv-bench/bin
# one BLAS thread: several threads are slower on small matrices and far slower on a loaded machine
export OPENBLAS_NUM_THREADS = 1
export OMP_NUM_THREADS = 1
export MKL_NUM_THREADS = 1
export MPLBACKEND = Agg
# many tests and tasks start a process of their own: each imports files that are compiled, whatever the environment says
export PYTHONDONTWRITEBYTECODE =

# the site's tools live in an environment of their own too
DOCS := .venv-docs/bin

.PHONY: install demo test lint docs docs-env figures bench-env bench bench-smoke accuracy clean

install: $(BIN)/.installed

$(BIN)/.installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[test,lint,sweep,proof,report]"
	touch $@

demo: install
	$(BIN)/geoflow demo

test: install
	$(BIN)/python -m pytest -n 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs-env: $(DOCS)/.installed

$(DOCS)/.installed: setup.cfg pyproject.toml
	test -x $(DOCS)/python || $(PYTHON) -m venv .venv-docs
	$(DOCS)/python -m pip install --quiet --editable ".[test,sweep,proof,docs]"
	touch $@

# runs every block and every page of the gallery, and checks every internal link: docs/_build/html/index.html
docs: docs-env
	$(DOCS)/python -m pytest -q tests/test_docs.py tests/test_site.py
	$(DOCS)/python -m sphinx -W --keep-going -n -q docs docs/_build/html
	$(DOCS)/python docs/check_site.py docs/_build/html

# the two figures of the README
figures: docs-env
	$(DOCS)/python docs/figures.py

bench-env: $(BENCH)/.installed

$(BENCH)/.installed: setup.cfg benchmarks/requirements.txt
	test -x $(BENCH)/python || $(PYTHON) -m venv .venv-bench
	$(BENCH)/python -m pip install --quiet --editable . --requirement benchmarks/requirements.txt
	touch $@

# writes benchmarks/results.json and the tables of docs/benchmarks.md
bench: bench-env
	$(BENCH)/python -m benchmarks

bench-smoke: bench-env
	$(BENCH)/python -m benchmarks --smoke

accuracy: install
	$(BIN)/python -m benchmarks.converse
	$(BIN)/python -m benchmarks.realization_cost

clean:
	rm -rf .venv .venv-bench .venv-docs build *.egg-info geoflow-demo docs/_build docs/auto_gallery docs/api
