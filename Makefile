# `make demo` and `make test` do everything on a fresh machine with Python 3.10 or later.
PYTHON ?= python3
BIN := .venv/bin
# one BLAS thread: several threads are slower on small matrices and far slower on a loaded machine
export OPENBLAS_NUM_THREADS = 1
export OMP_NUM_THREADS = 1
export MKL_NUM_THREADS = 1
export MPLBACKEND = Agg

.PHONY: install demo test lint bench clean

install: $(BIN)/.installed

$(BIN)/.installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[test,lint]"
	touch $@

demo: install
	$(BIN)/geoflow demo

test: install
	$(BIN)/python -m pytest -n 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/python benchmarks/autodiff.py
	$(BIN)/python benchmarks/geometry.py
	$(BIN)/python benchmarks/converse.py

clean:
	rm -rf .venv build *.egg-info geoflow-demo
