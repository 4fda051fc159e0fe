# The same targets for developers and CI. Each target first sets up what it needs.
.DEFAULT_GOAL := help
.PHONY: help run report test test-all test-long serve-test monitoring-test stack-test lint format reproduce tune bench ui notebook docs up down lock clean serve bench-serve

VENV := .venv
BIN := $(VENV)/bin
SETUP := $(BIN)/setup-done
DEV := $(BIN)/dev-done
TUNE := $(BIN)/tune-done
SERVE := $(BIN)/serve-done
DOCS := $(BIN)/docs-done
UV := $(BIN)/uv
MONITORING := .monitoring/tools/unpacked

# The make of macOS (3.81) starts commands that need no shell by its own PATH, unless this is set.
SHELL := /bin/bash
export PATH := $(CURDIR)/$(BIN):$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# Settings of installers that lead elsewhere, or to other packages than the locked ones. Those of indexes stay.
unexport UV_SYSTEM_PYTHON UV_PYTHON UV_TARGET UV_PREFIX UV_BREAK_SYSTEM_PACKAGES UV_PROJECT_ENVIRONMENT UV_CONSTRAINT \
  UV_BUILD_CONSTRAINT UV_OVERRIDE UV_EXCLUDE UV_EXCLUDE_NEWER UV_NO_BUILD_ISOLATION UV_DRY_RUN PIP_USER PIP_TARGET \
  PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_CONSTRAINT PIP_REQUIREMENT PIP_EDITABLE PIP_NO_DEPS PIP_PLATFORM PIP_ABI \
  PIP_PYTHON_VERSION PIP_IMPLEMENTATION PIP_DRY_RUN PIP_REQUIRE_VIRTUALENV PYTHONHOME PYTHONUSERBASE
# An environment is for its own path only: a copied or moved one runs the packages and the code of the first.
ifneq "$(shell cat $(SETUP) 2>/dev/null)" "$(realpath $(VENV))"
$(shell rm -f $(SETUP))
endif
# Certificates of the system, as pip uses them: a company's proxy may need them.
export UV_SYSTEM_CERTS := true
# Hashes are checked, so packages from any index are the locked ones.
SYNC := $(UV) pip install --quiet --require-hashes --compile-bytecode --build-constraints requirements.lock

help:  ## list the targets
	@awk -F ':.*## *' '/^[a-z-]+:.*##/ {printf "%-17s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(SETUP)  ## set up, run the pipeline, publish to MLflow, print a summary
	@git rev-parse --git-dir >/dev/null || { echo "make run: git must know this folder; in a ZIP download, run: git init && git add --all && git commit --message start" >&2; exit 1; }
	dvc repro
	churn sync
	churn summary

report: $(SETUP)  ## open the report, with commit, fingerprint and the commands that restore it
	churn report

# Bytecode is kept, whatever the user's settings: the tests start hundreds of processes.
test test-all test-long serve-test monitoring-test: export PYTHONDONTWRITEBYTECODE :=

test: $(DEV)  ## run the fast tests
	pytest -n auto --dist worksteal -m "not slow and not long and not serve and not monitoring and not stack"

test-all: $(DEV)  ## run the fast and the slow tests, without containers
	pytest -n auto --dist worksteal -m "not long and not serve and not monitoring and not stack" --durations 20

test-long: $(DEV)  ## run the tests that take long: whole days, simulations, benchmarks
	pytest -n auto --dist worksteal -m "long or (hypothesis and not serve and not monitoring and not stack)" --hypothesis-profile many --durations 20

# Three at once on two cores: clients and servers wait for each other.
serve-test: $(DEV)  ## run the tests of the scoring service
	pytest -n 3 --dist loadfile -m "serve and not long" --durations 10

monitoring-test: $(DEV) $(MONITORING)  ## test alarms and dashboards with real servers (Debian or Ubuntu)
	pytest -m monitoring --durations 5

stack-test: $(DEV)  ## build, start and test the containers (needs a Docker engine)
	pytest -m stack -rP

lint: $(DEV)  ## check style, types, the order of imports and the workflows
	ruff check
	ruff format --check
	mypy
	lint-imports --no-cache --no-logo
	zizmor --offline --no-progress --quiet .github

format: $(DEV)  ## fix the style, and write into dvc.yaml what each stage imports
	ruff check --fix
	ruff format
	python -m tests.helpers.stage_code

reproduce: $(SETUP)  ## rerun the committed state in a fresh clone and compare every byte
	churn reproduce

tune: $(TUNE)  ## search for better parameters (make tune ARGS="--trials 100 --jobs 4")
	churn tune $(ARGS)

serve: $(SERVE)  ## start the scoring service on http://127.0.0.1:8000 (make serve ARGS="--port 8080")
	churn serve $(ARGS)

bench: $(SETUP)  ## compare the pipeline's run time with a plain script, in bench/results.md (many minutes)
	python -m bench.pipeline

bench-serve: $(DEV)  ## time the scoring service beside other servers, in bench/serving.md (needs wrk)
	python -m bench.serving

ui: $(SETUP)  ## start MLflow for this folder on http://localhost:5000
	-@CHURN_MLFLOW_PAGES=http://localhost:5000 churn sync
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri sqlite:///mlflow.db --workers 1

notebook: $(DEV)  ## start JupyterLab on notebooks/, without containers
	@deploy/notebook-filter
	jupyter lab notebooks/explore.ipynb

docs: $(DOCS)  ## build the manual into site/
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo site/index.html

up: .env  ## start MLflow and JupyterLab in containers, and publish this state to the server
	@deploy/up

down:  ## stop the containers (their files stay)
	docker compose --profile run down

lock: $(SETUP)  ## update the lock files from pyproject.toml
	for group in "" notebook docs s3 serve tune dev setup; do \
	  UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --upgrade --universal --generate-hashes \
	    --fork-strategy fewest --python-version 3.11 --no-emit-index-url --no-annotate \
	    $${group:+--group $$group --constraints requirements.lock} $$(test -n "$$group" || echo pyproject.toml) \
	    $$(test "$$group" != docs || echo --constraints requirements-notebook.lock) $$(test "$$group" != dev || echo --constraints requirements-docs.lock --constraints requirements-notebook.lock --constraints requirements-serve.lock --constraints requirements-tune.lock) \
	    --output-file requirements$${group:+-$$group}.lock || exit 1; \
	done

clean:  ## remove the environment (data, models and experiments stay)
	rm -rf $(VENV)

.env:
	@(umask 077 && deploy/settings > $@.draft) && mv $@.draft $@ || { rm -f $@.draft; exit 1; }  # it has tokens

$(SETUP): requirements-setup.lock requirements.lock pyproject.toml deploy/site-packages/private_dvc_cache.py
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	    echo "setting up $(VENV) with $$($$python --version)" && exec $$python -m venv --clear $(VENV); fi; \
	done; echo "no Python 3.11, 3.12 or 3.13 found; install one, or pass its path: make PYTHON=/path/to/python3" >&2; exit 1
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-setup.lock
	@$(SYNC) -r requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@packages=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
	  && cp deploy/site-packages/private_dvc_cache.* $$packages && $(BIN)/python -m compileall -q $$packages/private_dvc_cache.py
	@$(BIN)/python -c 'import vl_convert; print(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed", vl_version="5.21"))' > $(VENV)/vega.js
	@(cd $(VENV) && pwd -P) > $@

$(TUNE): $(SETUP) requirements-tune.lock
	@$(SYNC) -r requirements-tune.lock
	@touch $@

$(SERVE): $(SETUP) requirements-serve.lock
	@$(SYNC) -r requirements-serve.lock
	@touch $@

$(DOCS): $(SETUP) requirements-docs.lock
	@$(SYNC) -r requirements-docs.lock
	@touch $@

$(DEV): $(SETUP) requirements-dev.lock
	@$(SYNC) -r requirements-dev.lock
	@touch $@

$(MONITORING): deploy/monitoring/debian-tools
	@deploy/monitoring/debian-tools $(@D) prometheus prometheus-alertmanager prometheus-blackbox-exporter \
	  prometheus-node-exporter prometheus-pushgateway rsyslog rsyslog-gnutls rsyslog-elasticsearch libestr0 \
	  libfastjson4 liblognorm5 libcurl3-gnutls libcurl4
	@touch $@
