# Every target is one plain command of `python -m ...`; README.md shows them for people without make.
# PYTHON makes the virtual environment; CONSTRAINTS pins what goes into it.
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
RUN = .venv/bin/python -m

book: .venv/installed
	$(RUN) tutorial_utils run
	$(RUN) tutorial_utils run notebooks/pages --out _build/notebooks/pages
	$(RUN) tutorial_utils run notebooks/solutions --jobs 2 --out _build/notebooks/solutions
	$(RUN) tutorial_utils book --executed

html: .venv/installed
	$(RUN) tutorial_utils book

pdf: .venv/installed
	$(RUN) tutorial_utils pdf

links: .venv/installed
	$(RUN) tutorial_utils links

test: .venv/installed
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) pytest

# One thread: for tensors this small, waiting for the other one takes longer than it helps.
quick: .venv/installed
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	OMP_NUM_THREADS=1 $(RUN) pytest -m "not slow" tests tutorial_utils

test-site: .venv/installed
	$(RUN) pytest tests/book/test_site.py

smoke: .venv/installed
	OMP_NUM_THREADS=1 $(RUN) tutorial_utils run --profile smoke --jobs 2 --out _build/smoke

fooled: .venv/installed
	$(RUN) pytest tests/check/test_fooled.py

results: .venv/installed
	$(RUN) tutorial_utils results

exercises: .venv/installed
	$(RUN) tutorial_utils exercises

address: .venv/installed
	$(RUN) tutorial_utils address $(URL)

progress: .venv/installed
	$(RUN) tutorial_utils progress

baselines: .venv/installed
	$(RUN) tutorial_utils baselines

evidence: .venv/installed
	$(RUN) tutorial_utils evidence --check

zoo: .venv/installed
	$(RUN) tutorial_utils zoo

clean:
	rm -rf _build

# Installs again when a requirement changed; a half-finished installation has no such file.
.venv/installed: requirements.txt requirements-book.txt $(CONSTRAINTS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(RUN) pip install -r requirements-book.txt -c $(CONSTRAINTS) -e .
	@touch $@

.PHONY: book html pdf links test quick test-site smoke fooled results exercises address progress baselines evidence zoo clean
