# Two commands for a fresh machine: `make demo` and `make test`. See `make help`.

PYTHON ?= python3
BIN := .venv/bin
# Benchmarks and stress tests are modules in `tests/`.
RUN := cd tests && ../$(BIN)/python -m
CODE := hooks wrapper tests hatch_build.py docs/conf.py docs/_extensions

.DEFAULT_GOAL := help
.PHONY: help demo install test test-fast lint types docs upgrade resolutions bench pairs kills histories outages soak bake build clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-11s %s\n", $$1, $$2 }' Makefile

demo: install ## Create a project, install it, start it, send requests
	$(BIN)/python tests/demo.py

install: .venv/.complete ## Install the command and its development tools
.venv/.complete: pyproject.toml hatch_build.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet --editable . --group dev --group docs
	touch $@

test: install ## Run all tests
	$(BIN)/pytest --numprocesses=auto --dist=worksteal $(ARGS)

test-fast: install ## Run the tests that take less than two minutes in all
	$(BIN)/pytest --numprocesses=auto -m "not slow" $(ARGS)

lint: install ## Check the style of this repository's own code
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: install ## Check the types of this repository's own code
	$(BIN)/mypy

docs: install ## Build the documentation into docs/_build/
	$(BIN)/sphinx-build -W -n --keep-going -b html docs docs/_build

upgrade: install ## Update projects of the last release, or of ARGS, to this commit
	$(RUN) stress.upgrade $(ARGS)

resolutions: install ## Test wheels with the lowest and the highest dependencies
	$(RUN) stress.resolutions

bench: install ## Measure the command and the service; sections in ARGS, or all
	$(RUN) bench $(ARGS)

pairs: install ## Update between all pairs of projects that differ in one answer
	$(RUN) stress.pairs

kills: install ## Kill updates at ARGS (100) random moments
	$(RUN) stress.kills $(ARGS)

histories: install ## Play ARGS (300) random histories of a project
	$(RUN) stress.histories $(ARGS)

outages: install ## Measure the effect of Redis outages on a service under load
	$(RUN) stress.outage

soak: install ## Run a service under load for ten minutes, with failures
	$(RUN) stress.soak $(ARGS)

bake: install ## Create a project in bake/, with the answers in ARGS
	rm -rf bake
	$(BIN)/cookiecutter . --no-input --output-dir bake $(ARGS)

build: install ## Build the wheel and the source distribution into dist/
	$(BIN)/python -m build

clean: ## Remove what the other verbs created
	rm -rf .venv bake dist docs/_build docs/project .coverage .hypothesis .tools .mypy_cache .pytest_cache .ruff_cache
