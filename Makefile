# Each target sets up all it needs in .venv, on any machine with make and Python 3.11, 3.12 or 3.13.
.PHONY: demo test lint clean

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --constraint constraints.txt
# A process per core, each with one thread: most tests are no faster with more
PARALLEL := --numprocesses logical --maxprocesses 8 --dist worksteal

demo: $(VENV)/demo.stamp
	$(BIN)/python -m LungDeepRegLib demo --out demo_output --overwrite

test: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo_output

$(VENV)/demo.stamp: $(VENV)/torch.stamp pyproject.toml constraints.txt
	$(INSTALL) --editable .
	touch $@

$(VENV)/test.stamp: $(VENV)/demo.stamp
	$(INSTALL) --editable '.[test]'
	touch $@

# On Linux, PyPI's torch brings several GB of CUDA libraries. Without an NVIDIA GPU the CPU build does; where its
# index can't be reached, the next step installs torch from wherever pip is set to look.
$(VENV)/torch.stamp: $(VENV)/created.stamp constraints.txt
	if [ "$$(uname)" = Linux ] && ! command -v nvidia-smi >/dev/null; then \
		$(INSTALL) --no-deps --retries 0 --timeout 20 --extra-index-url https://download.pytorch.org/whl/cpu torch || \
		echo "No CPU build of torch found; going on with the default one."; fi
	touch $@

$(VENV)/created.stamp:
	@test -n "$(PYTHON)" || { echo "Found no Python 3.11, 3.12 or 3.13; install one or run make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@
