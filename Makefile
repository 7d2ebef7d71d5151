# make demo   set up .venv, then generate, train, evaluate and report (see README)
# make test   run the tests
PYTHON ?= python3
BIN := .venv/bin
STUDIES := top-tagging quark-gluon flavour-tagging likelihood-ratio reweighting parameter-fit \
	unfolding learned-observables inference-aware calo-surrogate calo-diffusion calogan \
	fast-calo-slices amplification refinement event-overlay w-tagging gaussian-calibration \
	jet-calibration energy-regression two-point-uncertainty

.PHONY: demo test lint smoke clean

demo: .venv/installed
	$(BIN)/colliderkit study top-tagging --scale laptop --out demo --force

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: .venv/installed
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

smoke: .venv/installed
	rm -rf runs/smoke
	for study in $(STUDIES); do \
		OMP_NUM_THREADS=1 $(BIN)/colliderkit study $$study --scale smoke --out runs/smoke/$$study || exit 1; \
	done

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("colliderkit needs Python 3.11 or later") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet torch==2.13.0 -c constraints.txt
	$(BIN)/pip install --quiet -c constraints.txt -e '.[generate,geant4,dask,flows,hepdata,pyhf,dev]'
	touch $@

clean:
	rm -rf .venv demo runs build src/*.egg-info
