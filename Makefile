# One name per habit, the same for people and CI. Each target makes what it needs first.
.DEFAULT_GOAL := help
.PHONY: help run report test test-all stack-test lint format reproduce tune bench ui notebook docs up down lock clean

VENV := .venv
BIN := $(VENV)/bin
SETUP := $(BIN)/setup-done
DEV := $(BIN)/dev-done
TUNE := $(BIN)/tune-done
DOCS := $(BIN)/docs-done
UV := $(BIN)/uv

export PATH := $(CURDIR)/$(BIN):$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# Hashes are checked, so a package from anywhere is the locked one.
SYNC := $(UV) pip install --quiet --require-hashes --compile-bytecode --build-constraints requirements.lock

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: $(SETUP)  ## set up, run the pipeline, bring MLflow up to date, say what came out
	dvc repro
	churn sync
	churn summary

report: $(SETUP)  ## open the analyst's report, with commit, fingerprint and the way back
	churn report

test: $(DEV)  ## the fast tests
	pytest -n auto --dist worksteal -m "not slow and not stack"

test-all: $(DEV)  ## every test that needs no containers
	pytest -n auto --dist worksteal -m "not stack" --durations 20

stack-test: $(DEV)  ## build, start and try the containers (needs a Docker engine)
	pytest -m stack -rP

lint: $(DEV)  ## style, types, and imports that only go down the house
	ruff check
	ruff format --check
	mypy
	lint-imports --no-cache --no-logo

format: $(DEV)  ## put the code in style, and write into dvc.yaml what each stage imports
	ruff check --fix
	ruff format
	python -m tests.helpers.stage_code

reproduce: $(SETUP)  ## run the committed state again in a fresh clone and compare every byte
	churn reproduce

tune: $(TUNE)  ## search for better arguments (make tune ARGS="--trials 100 --jobs 4")
	churn tune $(ARGS)

bench: $(SETUP)  ## time the pipeline beside a bare script, into bench/results.md (many minutes)
	python -m bench.pipeline

ui: $(SETUP)  ## MLflow's pages on this folder's experiments, http://localhost:5000
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri sqlite:///mlflow.db --workers 1

notebook: $(DEV)  ## JupyterLab on notebooks/, without containers
	jupyter lab notebooks/explore.ipynb

docs: $(DOCS)  ## build the manual into site/
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo site/index.html

up: .env  ## start MLflow and JupyterLab in containers, and show the server what this folder knows
	docker compose --profile run build
	docker compose up --detach --wait
	docker compose run --rm pipeline churn sync --all
	@docker compose ps --format '{{.Service}}: {{range .Publishers}}http://{{.URL}}:{{.PublishedPort}} {{end}}'

down:  ## stop the containers (everything they made stays)
	docker compose --profile run down

lock: $(SETUP)  ## write the lock files anew from pyproject.toml
	for group in "" notebook docs tune dev setup; do \
	  UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --upgrade --universal --generate-hashes \
	    --fork-strategy fewest --python-version 3.11 --no-emit-index-url --no-annotate \
	    $${group:+--group $$group --constraints requirements.lock} $$(test -n "$$group" || echo pyproject.toml) \
	    $$(test "$$group" != docs || echo --constraints requirements-notebook.lock) $$(test "$$group" != dev || echo --constraints requirements-docs.lock --constraints requirements-notebook.lock --constraints requirements-tune.lock) \
	    --output-file requirements$${group:+-$$group}.lock || exit 1; \
	done

clean:  ## remove the environment (data, models and experiments stay)
	rm -rf $(VENV)

.env:
	@deploy/settings > $@.draft && mv $@.draft $@

$(SETUP): requirements-setup.lock requirements.lock pyproject.toml deploy/site-packages/private_dvc_cache.py
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	    echo "setting up $(VENV) with $$($$python --version)" && exec $$python -m venv --clear $(VENV); fi; \
	done; echo "no Python 3.11, 3.12 or 3.13 found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-setup.lock
	@$(SYNC) -r requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@packages=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
	  && cp deploy/site-packages/private_dvc_cache.* $$packages && $(BIN)/python -m compileall -q $$packages/private_dvc_cache.py
	@$(BIN)/python -c 'import vl_convert; print(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed", vl_version="5.21"))' > $(VENV)/vega.js
	@touch $@

$(TUNE): $(SETUP) requirements-tune.lock
	@$(SYNC) -r requirements-tune.lock
	@touch $@

$(DOCS): $(SETUP) requirements-docs.lock
	@$(SYNC) -r requirements-docs.lock
	@touch $@

$(DEV): $(SETUP) requirements-dev.lock
	@$(SYNC) -r requirements-dev.lock
	@touch $@
