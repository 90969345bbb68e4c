# make setup: a virtual environment with the tested set.   make test: lint, types, tests.   make demo: a first sweep.
VENV   ?= .venv
PYTHON ?= python3
TORCH  ?= torch==2.13.0
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready

.PHONY: setup test demo wheel clean

setup: $(STAMP)

# torch first and by itself: asked for by another package, pip would take a CUDA build of several GB.
# TORCH=skip keeps the torch that is there (VENV=. with an environment of your own).
$(STAMP): pyproject.toml setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test "$(TORCH)" = skip || $(BIN)/python -m pip install -q "$(TORCH)"
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev]"
	mkdir -p .typecheck && ln -sfn .. .typecheck/halfscan
	touch $@

# axe-core looks for what keeps people out of a page; without npm or a network its test is skipped by name.
.axe/node_modules/axe-core/axe.min.js:
	-command -v npm >/dev/null && npm install --prefix .axe --no-save --no-package-lock --no-audit --no-fund --silent axe-core@4.14.1

test: setup .axe/node_modules/axe-core/axe.min.js
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p halfscan
	OMP_WAIT_POLICY=PASSIVE $(BIN)/pytest -n auto --maxprocesses 8 --dist worksteal

demo: setup
	$(BIN)/halfscan run experiment=demo

wheel: setup
	$(BIN)/python -m build --wheel

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
