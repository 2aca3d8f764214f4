# Works from a bare checkout with Python >= 3.11, as root or not. `make` alone lists the targets.
.POSIX:
.PHONY: help setup dev demo test tools up down lint format bench docs lock clean

VENV = .venv/bin
# Where PYTHONDONTWRITEBYTECODE is emptied below, many processes start one after the other: each would compile all it imports.

help:
	@echo 'make demo    set up from nothing and run the main job on the demo deliveries'
	@echo 'make test    set up from nothing and pass the tests'
	@echo 'make up      Airflow, scheduler and warehouse in the foreground; make down stops them'
	@echo 'make lint    check code, SQL and contracts        make bench   run the benchmarks'
	@echo 'make docs    generate the reference               make lock    renew the locks'

setup:
	@sh scripts/setup.sh

dev:
	@sh scripts/setup.sh dev

demo: setup
	@PYTHONDONTWRITEBYTECODE= $(VENV)/python -m demo

# Three on two cores: a third of what a test takes is waiting, for Airflow most of all.
test: dev tools
	@PYTHONDONTWRITEBYTECODE= $(VENV)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(PYTEST)

tools:
	@sh tests/tools.sh

up: setup
	@PYTHONDONTWRITEBYTECODE= exec $(VENV)/teilhabe up --foreground

down: setup
	@$(VENV)/teilhabe down

lint: dev
	@sh scripts/tool_env.sh
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy --strict plugins
	cd dbt_project && ../$(VENV)/sqlfluff lint models
	$(VENV)/teilhabe contracts check
	.venv/.tools/bin/python scripts/lint_contracts.py
	.venv/.tools/bin/hadolint Dockerfile

format: dev
	$(VENV)/ruff format .

bench: dev
	@$(VENV)/python -m bench
	@$(VENV)/python -m bench.history --write bench/results/history.md
	@$(VENV)/python -m bench.warehouse --write bench/results/warehouse.md
	@$(VENV)/python -m bench.desk --write bench/results/desk.md

docs: dev
	@$(VENV)/python scripts/docs.py

lock:
	@sh scripts/lock.sh

clean:
	rm -rf .venv dist site
