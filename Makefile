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

.PHONY: install demo test lint bench-env bench bench-smoke accuracy clean

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
	rm -rf .venv .venv-bench build *.egg-info geoflow-demo
