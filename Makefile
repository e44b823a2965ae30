# The few commands of the project. Everything else is `polder --help`.
BIN := .venv/bin
STAMP := .venv/.polder-setup
MACHINES := $(wildcard tests/property/test_*_machine.py) tests/property/test_policy_flows.py
# The lab starts programs by the hundred: each is compiled once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup check test demo lab lab-down bench lock
setup: $(STAMP)

$(STAMP): requirements.txt pyproject.toml deploy/setup
	deploy/setup
	touch $@

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n auto tests/unit tests/property $(addprefix --ignore=,$(MACHINES))

test: check
	$(BIN)/pytest -q -n auto --hypothesis-profile=thorough $(MACHINES)
	$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder tests/contract tests/integration
	$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder tests/fault

demo: setup
	$(BIN)/python -m lab demo

lab: setup
	$(BIN)/python -m lab up

lab-down: setup
	$(BIN)/python -m lab down

bench: setup
	$(BIN)/python -m bench

lock:
	$(BIN)/uv pip compile -q --no-config --no-header --no-annotate --no-emit-index-url --generate-hashes --python-version 3.11 --extra dev pyproject.toml -o requirements.txt
