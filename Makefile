# Two commands do all the set-up: `make run` and `make test`. Python >= 3.11 and make are all they need.
PYTHON ?= python3
VENV := .venv
EMULATOR := .venv-emulator
DEPLOY := .venv-emulator-deploy
INVOKE := .venv-invoke
STATE ?= .penstock
# How many test files run at the same time. They wait as much as they compute.
JOBS ?= 2
PIP := pip install --quiet --disable-pip-version-check
penstock := $(VENV)/bin/penstock

.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\#.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

run: $(VENV)/.installed $(EMULATOR)/.installed ## start the whole stack on this machine, until Ctrl-C; INDEX=opensearch
	@$(if $(INDEX),PENSTOCK_INDEX=$(INDEX)) exec $(penstock) up --state $(STATE)

opensearch: $(VENV)/.installed ## start an OpenSearch on this machine, until Ctrl-C; PORT=9200
	@exec $(VENV)/bin/python -m penstock.local.opensearch --state $(STATE)/opensearch $(if $(PORT),--port $(PORT))

demo: $(VENV)/.installed $(EMULATOR)/.installed ## add the samples by HTTPS and by S3, find them, and end everything; INDEX=opensearch
	@$(if $(INDEX),PENSTOCK_INDEX=$(INDEX)) exec $(penstock) demo --state $(STATE)/demo$(if $(INDEX),-$(INDEX)) $(if $(NEW_IDS),--new-ids)

test: $(VENV)/.installed-dev $(EMULATOR)/.installed $(INVOKE)/.installed ## run every test; TESTS=path for some
	$(VENV)/bin/python -m pytest $(if $(TESTS),$(TESTS),--ignore=$(DEPLOYED) --numprocesses $(JOBS) --dist loadfile --durations 25)

# Files of unit tests that take longest, most of the time in processes of their own.
SLOW := tests/unit/lambdas/test_cold_start.py tests/unit/pipeline/test_split.py tests/unit/pipeline/test_checkpoint.py \
  tests/unit/pipeline/test_interleavings.py tests/unit/test_wiring.py tests/unit/reading/sandbox/test_child.py \
  tests/unit/cli/test_api_commands.py tests/unit/worker/test_pool_acks.py

check: lint ## lint, types and the fast unit tests, in less than a minute
	$(VENV)/bin/python -m pytest -q --numprocesses $(JOBS) --dist loadfile tests/unit $(addprefix --ignore=,$(SLOW))
	@echo "Left out, because they are slow: $(SLOW). \`make test\` runs every test."

bench-requests: $(VENV)/.installed-dev $(EMULATOR)/.installed ## count the AWS requests of a document against the budget; UPDATE=1 accepts new counts
	$(VENV)/bin/python -m benchmarks.requests $(if $(UPDATE),--update)

bench-searchable: $(VENV)/.installed-dev $(EMULATOR)/.installed ## measure the time from sending to searchable, by HTTPS and by S3: p50 and p95
	$(VENV)/bin/python -m benchmarks.searchable

DOORS := tests/e2e/test_doors.py tests/e2e/test_uploads.py
DEPLOYED := tests/e2e/test_deployed.py

build: $(VENV)/.installed ## make the package for AWS, and show its size
	$(VENV)/bin/python -m tools.lambda_lab.package

bytecode: $(VENV)/.installed ## after `sam build`: compile what each cold start would compile
	$(VENV)/bin/python -m tools.lambda_lab.package --built .aws-sam/build

validate: $(VENV)/.installed-dev ## check the template: cfn-lint, our own tests, and sam if it is installed
	$(VENV)/bin/cfn-lint template.yaml
	@if command -v sam >/dev/null; then sam validate --lint --region us-east-1; else echo "sam is not installed: its own validation was left out"; fi
	$(VENV)/bin/python -m pytest -q tests/unit/test_template.py tests/unit/test_template_functions.py

invoke: $(VENV)/.installed $(EMULATOR)/.installed $(INVOKE)/.installed ## answer every sample event by its function, as Lambda runs it
	@exec $(VENV)/bin/python -m tools.lambda_lab.invoke

deploy-local: $(VENV)/.installed $(DEPLOY)/.installed ## deploy the whole template to an emulator, until Ctrl-C
	@exec $(VENV)/bin/python -m tools.lambda_lab.deploy

deploy-local-test: $(VENV)/.installed-dev $(DEPLOY)/.installed ## send documents through the deployed functions, then remove everything
	@$(VENV)/bin/python -m pytest --deployed $(DOORS) $(DEPLOYED) && cat .penstock/deploy-test/summary

truth: $(VENV)/.installed-dev $(EMULATOR)/.installed ## run 2,000 searches across 20 replacements and 5 deletions of one document; INDEX=opensearch
	$(VENV)/bin/python -m tests.e2e.replace_under_search $(if $(INDEX),--index $(INDEX)) $(if $(SEARCHES),--searches $(SEARCHES)) $(if $(REPLACEMENTS),--replacements $(REPLACEMENTS))

bench-retrieval: $(VENV)/.installed-dev ## measure how well search ranks: BEIR="DIR…" [INDEX=opensearch] [EMBEDDER=…]
	$(VENV)/bin/python -m benchmarks.retrieval $(BEIR) $(if $(INDEX),--index $(INDEX)) $(if $(EMBEDDER),--embedder $(EMBEDDER))

bench-search: $(VENV)/.installed-dev ## measure how fast both indexes are: [CHUNKS=100000]
	$(VENV)/bin/python -m benchmarks.search $(if $(CHUNKS),--chunks $(CHUNKS))

kill-worker: $(VENV)/.installed-dev $(EMULATOR)/.installed ## kill -9 the worker in the middle of a document, and check the result; INDEX=opensearch
	$(VENV)/bin/python -m tests.e2e.kill_worker $(if $(INDEX),--index $(INDEX))

bench-extract: $(VENV)/.installed-dev ## measure pages a second on one core, beside other libraries; CORPUS=dir ENGINES=a,b
	$(VENV)/bin/python -m benchmarks.extract $(CORPUS) $(if $(ENGINES),--engines $(ENGINES))
	$(VENV)/bin/python -m benchmarks.extract --lengths 10,100,1000,10000

hostile: $(VENV)/.installed-dev ## read files made to harm, and write the outcomes into docs/files.md
	$(VENV)/bin/python -m tests.support.hostile docs/files.md

faults: $(VENV)/.installed-dev $(EMULATOR)/.installed ## make every fault that we can, and write the outcomes into docs/faults.md; SEED=n repeats a run
	$(VENV)/bin/python -m tests.faults.run $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only "$(ONLY)",--table docs/faults.md)

bench-cold: $(VENV)/.installed-dev ## measure how long each function takes to start, beside bare ones
	$(VENV)/bin/python -m benchmarks.cold

bench-worker: $(VENV)/.installed-dev ## measure a worker's own speed, beside Celery's and a plain loop's
	$(VENV)/bin/python -m benchmarks.worker $(if $(ROUNDS),--rounds $(ROUNDS))

lint: $(VENV)/.installed-dev ## run ruff, mypy --strict and import-linter
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.installed-dev ## format the code with ruff
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean-state: ## delete documents, keys and index of the local stack
	@for lock in $(wildcard $(STATE)/lock $(STATE)/demo*/lock); do \
	  $(PYTHON) -c 'import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)' $$lock 2>/dev/null \
	  || { echo "A local stack is running on $$(dirname $$lock): end it with Ctrl-C first."; exit 1; }; done
	rm -rf $(STATE)

clean: clean-state ## delete the virtual environments too
	rm -rf $(VENV) $(EMULATOR) $(DEPLOY) $(INVOKE) build

lock: ## resolve the locked versions again; needs uv
	uv pip compile $(LOCK) requirements/build.in -o requirements/build.txt
	uv pip compile $(LOCK) requirements/emulator.in -o requirements/emulator.txt
	uv pip compile $(LOCK) requirements/emulator-deploy.in -o requirements/emulator-deploy.txt
	uv pip compile $(LOCK) --no-deps requirements/invoke.in -o requirements/invoke.txt
	uv pip compile $(LOCK) --extra local pyproject.toml -o requirements/local.txt
	uv pip compile $(LOCK) --extra dev -c requirements/local.txt pyproject.toml -o requirements/dev.txt
	uv pip compile $(LOCK) --extra worker --extra extract --extra openai --extra opensearch -c requirements/local.txt pyproject.toml -o requirements/worker.txt
	for layer in $(LAYERS); do uv pip compile $(LOCK) -c requirements/local.txt layers/$$layer/requirements.in -o layers/$$layer/requirements.txt; done
	uv pip compile $(LOCK) -c requirements/local.txt $$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' layers/common/requirements.txt | sort -u) layers/wordllama/requirements.in -o layers/wordllama/requirements.txt

LAYERS := common web tasks extract openai opensearch
LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Penstock needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.12 run" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements/build.txt requirements/local.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing Penstock into $(VENV) …"
	@$(VENV)/bin/$(PIP) -r requirements/build.txt
	@$(VENV)/bin/$(PIP) -r requirements/local.txt
	@$(VENV)/bin/$(PIP) --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements/dev.txt
	@echo "Installing the development tools into $(VENV) …"
	@$(VENV)/bin/$(PIP) -r requirements/dev.txt
	@touch $@

# ministack pins botocore exactly, so it has an environment of its own.
$(EMULATOR)/.installed: requirements/emulator.txt
	@echo "Installing the AWS emulator into $(EMULATOR) …"
	@test -x $(EMULATOR)/bin/python || $(PYTHON) -m venv $(EMULATOR)
	@$(EMULATOR)/bin/$(PIP) -r requirements/emulator.txt
	@touch $@

# The same emulator, with the library that translates SAM templates.
$(DEPLOY)/.installed: requirements/emulator-deploy.txt
	@echo "Installing the emulator that takes deployments into $(DEPLOY) …"
	@test -x $(DEPLOY)/bin/python || $(PYTHON) -m venv $(DEPLOY)
	@$(DEPLOY)/bin/$(PIP) -r requirements/emulator-deploy.txt
	@touch $@

# Lambda's own runtime interface: all that a function may import beside its package and its layers, so not even pip is in it.
$(INVOKE)/.installed: requirements/invoke.txt $(VENV)/.installed
	@echo "Installing Lambda's runtime interface into $(INVOKE) …"
	@test -x $(INVOKE)/bin/python || $(VENV)/bin/python -m venv --without-pip $(INVOKE)
	@$(VENV)/bin/pip --python $(INVOKE)/bin/python install --quiet --disable-pip-version-check --no-deps -r requirements/invoke.txt
	@touch $@
