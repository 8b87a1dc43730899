# Two commands: `make demo` and `make test`. Everything else is a part of one of them.
PYTHON ?= $(shell scripts/python)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo demo-kafka test test-fast services check bench soak rolling docs clean

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("segur-router needs Python 3.11 or later: make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	@echo "installing into $(VENV) (once, a minute or so) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## the story, on simulators and the embedded bus
	@$(BIN)/segur-router demo $(ARGS)

demo-kafka: $(READY)  ## the same story on a real Kafka broker and PostgreSQL
	@scripts/services kafka postgresql
	@$(BIN)/segur-router demo --bus kafka $(ARGS)

test: $(READY)  ## everything, integration parts included: installs what they need
	@$(MAKE) --no-print-directory --jobs=2 check services
	@$(BIN)/pytest -n auto --maxprocesses=4 --dist loadfile --no-loadscope-reorder --durations=40 --durations-min=5 $(ARGS)

test-fast: $(READY)  ## what needs nothing but Python
	@$(BIN)/pytest -m "not integration and not slow" $(ARGS)

services: $(READY)
	@scripts/services all
	@deploy/dev/kafka/broker --fetch
	@$(BIN)/python -m tests.conformance.jvm

check: $(READY)  ## lint, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(READY)  ## a five-minute set; writes benchmarks/results.json
	@$(BIN)/python -m benchmarks.run $(ARGS)

soak: $(READY)  ## kill, freeze and cut under load, count what is lost: make soak KILLS=25 BUS=sqlite
	@if [ "$(BUS)" = kafka ]; then scripts/services kafka postgresql; fi
	@$(BIN)/python -m benchmarks.soak --kills $(or $(KILLS),25) --bus $(or $(BUS),sqlite) $(ARGS)

rolling: $(READY)  ## replace one pod after the other under load, on Kafka and PostgreSQL
	@scripts/services kafka postgresql
	@$(BIN)/python -m benchmarks.rolling $(ARGS)

docs: $(READY)  ## regenerate what is generated (schemas, reference, conformance)
	@$(BIN)/segur-router reference --write
	@$(BIN)/python -m router.cisis.conformance

clean:
	rm -rf $(VENV) build dist *.egg-info var
