PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: setup demo test lint train-smoke

setup: $(READY)

# torch goes first and pinned: asked for by a range, pip may choose a CUDA build of several gigabytes.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	$(PIP) --editable ".[dev]"
	touch $(READY)

demo: $(READY)
	$(BIN)/ecgscan read examples --out out/demo --min-quality 0
	@echo "The picture of what was read: out/demo/*.png"

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

train-smoke: $(READY)
	rm -rf runs/smoke
	$(BIN)/python train.py --output runs/smoke
