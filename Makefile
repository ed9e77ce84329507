# Pairmill: everything a developer or CI does. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
RUN ?= runs/demo

READY := $(VENV)/.ready
CLUSTER := $(VENV)/.cluster
PEER := .venv-img2dataset/.ready
LOWEST := .venv-lowest/.ready
JOB_SERVER := tests/cluster/job_server/target/job-server.jar

# uv comes from its wheel: it installs in a tenth of pip's time. Compiled once, every start is two seconds shorter.
$(READY): pyproject.toml constraints.txt
	@test -x $(PY) || python3 -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check uv
	@$(PY) -m uv pip install --quiet --compile-bytecode --python $(PY) --constraint constraints.txt --editable '.[all,dev]'
	@touch $@

# Spark for the cluster's tests: 300 MB that nothing else needs.
$(CLUSTER): $(READY)
	@$(PY) -m uv pip install --quiet --compile-bytecode --python $(PY) --constraint constraints.txt --editable '.[all,dev,cluster]'
	@touch $@

$(JOB_SERVER): tests/cluster/job_server/pom.xml
	@command -v mvn > /dev/null && command -v java > /dev/null || { \
	  echo "the cluster's tests need Java 17 and Maven (Debian: apt-get install openjdk-17-jdk-headless maven)"; exit 1; }
	mvn -B -q -s tests/cluster/job_server/settings.xml -f tests/cluster/job_server/pom.xml package
	@touch $@

.PHONY: job-server
job-server: $(JOB_SERVER) ## Beam's job server for Spark, which the cluster's tests need

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: install
install: $(READY) ## make .venv with everything in it

.PHONY: shards
shards: $(READY) ## the main job: the demo's web becomes validated shards, and a model is trained on them
	$(VENV)/bin/pairmill run demo --run-dir $(RUN)
	$(VENV)/bin/pairmill validate $(RUN)/shards/main
	@test -f $(RUN)/model/train.json || $(VENV)/bin/pairmill train $(RUN)/shards/main --out $(RUN)/model --model pipeline/demo/model --steps 450
	@test -f $(RUN)/model/evaluate.json || $(VENV)/bin/pairmill evaluate $(RUN)/model $(RUN)/shards/main --classes pipeline/demo/classes.json --held-out 0.05 --must-beat-chance --json $(RUN)/model/evaluate.json
	@echo "shards  $(RUN)/shards/main"; echo "report  $(RUN)/report.html"; echo "model   $(RUN)/model"

.PHONY: test
test: $(READY) $(PEER) ## lint, types and every test but the long rounds
	$(MAKE) --no-print-directory lint
	$(PY) -m pytest -m 'not soak' --ignore tests/cluster --numprocesses 3 --dist loadfile --durations=15

# The lowest of each line of pyproject.toml, and the newest of what those need in their turn. Torch is gigabytes: it stays
# where constraints.txt has it.
$(LOWEST): pyproject.toml constraints.txt $(READY)
	@$(PY) -m uv venv --quiet --clear --python $(PY) .venv-lowest
	@grep -E '^(torch|torchvision|triton|(nvidia|cuda)-[a-z0-9-]+)==' constraints.txt > .venv-lowest/constraints.txt
	@$(PY) -m uv pip install --quiet --compile-bytecode --python .venv-lowest/bin/python --resolution lowest-direct \
	  --constraint .venv-lowest/constraints.txt --editable '.[all,dev]'
	@touch $@

.PHONY: test-lowest
test-lowest: $(LOWEST) ## the demo and some tests on the lowest version of every dependency
	rm -rf runs/lowest
	.venv-lowest/bin/pairmill run demo --run-dir runs/lowest
	.venv-lowest/bin/python -m pipeline.demo check runs/lowest
	.venv-lowest/bin/python -m pytest tests/filters tests/transforms/image tests/transforms/test_parquet.py \
	  tests/pipeline/test_config.py tests/pipeline/test_settings_page.py tests/trainer/test_shard_reading.py

.PHONY: test-cluster
test-cluster: $(CLUSTER) $(JOB_SERVER) ## the demo on a real Spark cluster and an object store, on loopback (needs Java 17 and Maven)
	$(PY) -m pytest tests/cluster -m 'not soak' --numprocesses 2 --dist loadfile --durations=15

.PHONY: lint
lint: $(READY) ## ruff (lint and format) and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

.PHONY: format
format: $(READY) ## let ruff put the code in form
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

.PHONY: settings-doc
settings-doc: $(READY) ## write docs/settings.md anew from the models
	$(PY) -m pipeline.settings_page > docs/settings.md.new && mv docs/settings.md.new docs/settings.md

.PHONY: check-demo
check-demo: shards ## compare the demo's outcome with its truth, reason by reason
	$(PY) -m pipeline.demo check $(RUN)
	$(PY) -m pipeline.demo search $(RUN)

.PHONY: demo-model
demo-model: $(READY) ## train the demo's CLIP again (up to 40 minutes on 2 cores)
	$(PY) -m pipeline.demo model --work runs/demo-model

.PHONY: soak
soak: $(CLUSTER) $(JOB_SERVER) ## all rounds of the kill tests
	$(PY) -m pytest -m soak --timeout 3600 -s

.PHONY: bench-sites
bench-sites: $(READY) ## two real documentation sites through the whole way
	bash bench/sites/run.sh

.PHONY: bench-engines
bench-engines: $(CLUSTER) $(JOB_SERVER) ## what Beam, worker processes and Spark cost (wants the machine alone)
	$(PY) -m bench.engines.run

.PHONY: check-browser
check-browser: $(READY) ## what headless Chromium shows of 400 pages against what we find (wants chromium and two -doc packages)
	@command -v chromium > /dev/null || { echo "check-browser needs Chromium (Debian: apt-get install chromium)"; exit 1; }
	@test -d /usr/share/doc/debian-handbook/html -a -d /usr/share/doc/python-skimage-doc/html || { \
	  apt-get update -qq; apt-get install -y -qq debian-handbook python-skimage-doc; }
	$(PY) -m bench.browser.check

# The peer of the fetch bench needs older versions of what we use: it lives in an environment of its own.
$(PEER): bench/fetch/img2dataset.txt $(READY)
	@$(PY) -m uv venv --quiet --clear --python $(PY) .venv-img2dataset
	@$(PY) -m uv pip install --quiet --compile-bytecode --python .venv-img2dataset/bin/python --requirement bench/fetch/img2dataset.txt
	@touch $@

.PHONY: bench-fetch
bench-fetch: $(READY) $(PEER) ## fetch against img2dataset on loopback (wants nginx, and the machine alone)
	$(PY) -m bench.fetch.run

.PHONY: bench-words
bench-words: $(READY) ## telephone numbers, boilerplate and languages against labelled captions
	$(PY) -m bench.words.run

.PHONY: dataflow-template
dataflow-template: $(READY) ## the images' build context and the flex template, checked up to where the cloud is needed
	$(PY) deploy/dataflow/template.py

.PHONY: wheel
wheel: $(READY) ## build the wheel into dist/
	$(PY) -m uv build --quiet --wheel --out-dir dist

.PHONY: clean
clean: ## remove what was built; runs/ stay
	rm -rf $(VENV) .venv-img2dataset .venv-lowest dist build .pytest_cache .ruff_cache .mypy_cache .hypothesis
