# Every target starts from nothing: it makes .venv and installs into it what it needs.
PYTHON ?= python3
BIN := .venv/bin
# Files in the order of their names: what starts processes and waits for them comes first, what is quick at the end.
SPREAD := -n auto --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test test-services check bench chaos docs clean

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

demo: .venv/.runs ## Build a small shop's warehouse, send four campaigns to the outbox, show the reports
	@$(BIN)/python -m examples.shop.demo

test: .venv/.develops ## Run the tests (ARGS="-k name" for some of them)
	@$(BIN)/python -m pytest $(SPREAD) $(ARGS)

test-services: .venv/.develops ## Make what stands in for warehouses in the cloud; without it their tests are skipped
	@$(BIN)/python -m tests.services

check: .venv/.develops ## Format, lint, types, architecture and docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest $(SPREAD) tests/architecture tests/docs

bench: .venv/.develops ## Measure speed and memory (ONLY=name for one row, JSON=file to keep them)
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json $(JSON))

chaos: .venv/.develops ## Fire at real runs and check the accounts (KILLS=n SEED=s JSON=file ONLY=text JOBS=n)
	@$(BIN)/python -m benchmarks.chaos $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED)) $(if $(JSON),--json $(JSON)) $(if $(ONLY),--only "$(ONLY)") $(if $(JOBS),--jobs $(JOBS))

docs: .venv/.develops ## Write the generated pages of docs/ again
	@$(BIN)/python -m docs.generate

clean: ## Remove everything that was made
	rm -rf .venv .services .mypy_cache .ruff_cache .pytest_cache .hypothesis .connect .demo outbox shop.duckdb dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.runs: pyproject.toml
	@echo "Installing Connect into .venv ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/.develops: .venv/.runs
	@echo "Installing what the tests need into .venv ..."
	@$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@
