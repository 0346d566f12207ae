# Every verb of the project; `make help` lists them. All set-up happens by itself.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: help demo dev test test-long lint format types proto descriptor proto-check screenshots bench faults fuzz audit
.PHONY: lock ci clean ready ready-dev

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1|/' | awk -F'|' '{printf "  %-14s %s\n", $$1, $$2}'

demo: ready ## set everything up, emit the 31 identity events and show their signed deliveries (ARGS=--keep leaves it running)
	@$(BIN)/hookpost demo $(ARGS)

dev: ready ## a server on an embedded PostgreSQL in .hookpost, for development
	@$(BIN)/hookpost dev $(ARGS)

test: ready-dev ## all tests that this machine can run (ARGS="-k word" chooses)
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: ready-dev ## the tests that `make test` leaves to continuous integration: faults, models
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m long $(ARGS)

lint: ready-dev ## ruff and buf lint, formatting included
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code

format: ready-dev ## format Python and proto files
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/buf format -w

types: ready-dev ## mypy --strict
	$(BIN)/mypy

proto: ready-dev ## generate the Python stubs from proto/, and Go's where Go is installed
	$(BIN)/python proto/generate.py
	@if command -v go >/dev/null; then $(BIN)/buf generate; else echo "no Go here: clients/go/hookpostv1 is as it was"; fi

descriptor: ready-dev ## the API as a descriptor set, build/hookpost.binpb, for grpcurl -protoset and buf curl --schema
	@mkdir -p build
	$(BIN)/buf build -o build/hookpost.binpb

screenshots: ready-dev ## pictures of the console's pages in both themes, into tests/console/screenshots
	@HOOKPOST_TEST_SCREENSHOTS=1 $(BIN)/python -m pytest -q -m long -k for_everybody tests/console

bench: ready-dev ## measure throughput and latency beside the naive design and the raw limits
	@$(BIN)/python -m tests.bench $(ARGS)

faults: ready-dev ## kill, freeze and cut everything under load; count what was lost (ARGS="R6 kill" chooses, --rounds 2 is shorter)
	@$(BIN)/python -m tests.faults $(ARGS)

fuzz: ready-dev ## feed every parser and the gRPC port with nonsense, a minute each (ARGS="url headers --seconds 5" is shorter)
	@$(BIN)/python -m tests.fuzz $(ARGS)

audit: ready-dev ## compare the locked packages with known advisories, where these can be read
	@$(BIN)/python server/audit.py

lock: ready-dev ## resolve dependencies anew into server/requirements*.lock
	$(BIN)/uv export -q --no-emit-workspace --all-packages --no-default-groups --no-header -o server/requirements.lock
	$(BIN)/uv export -q --no-emit-workspace --all-packages --all-extras --no-header -o server/requirements-dev.lock
	rm -f uv.lock

ci: ## what continuous integration runs
	bash .ci/run

clean: ## remove what was made, the development database included
	rm -rf .venv .hookpost .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

ready:
	@$(PYTHON) server/bootstrap.py

ready-dev:
	@$(PYTHON) server/bootstrap.py --dev
