# make demo    set up .venv, then generate, train, evaluate and report (see README)
# make quick   lint, and all tests that are not slow
# make test    run the tests
# make smoke   run the smallest scale of each study
# make docs    build the site into build/site; its tutorials run, and a warning is an error
# make slow    run the tests and write tests/slow.txt, the list of those that make quick leaves out
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --root-user-action ignore
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

.PHONY: demo quick test slow lint smoke docs clean

demo: .venv/installed
	$(BIN)/colliderkit study top-tagging --scale laptop --out demo --force

quick: lint
	$(PYTEST) -m "not slow"

test: .venv/installed
	$(PYTEST)

slow: .venv/installed
	$(PYTEST) --write-slow

smoke: .venv/installed
	$(PYTEST) tests/contracts/test_studies.py

docs: .venv/installed
	$(BIN)/python benchmarks/table.py
	$(BIN)/python docs/lectures.py
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q -W --keep-going -j 2 docs build/site

lint: .venv/installed
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("colliderkit needs Python 3.11 or later") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0 -c constraints.txt
	$(PIP) -c constraints.txt -e '.[control,generate,geant4,dask,flows,hepdata,pyhf,serve,docs,dev]'
	-$(PIP) -c constraints.txt -e '.[tracking]'  # has wheels for some systems alone; tests of ACTS are skipped without
	touch $@

clean:
	rm -rf .venv demo runs build docs/api src/*.egg-info
