# Everything is installed into .venv; training caches decoded photographs in ~/.cache/prosr_lightning (PROSR_CACHE_DIR).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN = $(BIN)/python -m prosr_lightning
WORKERS ?= 2
# a file stays on one worker, for what its tests share; a thread each, or workers wait for one another
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

EXPORTED := $(patsubst src/prosr_lightning/released/%.safetensors,build/light/released/%.onnx,$(wildcard src/prosr_lightning/released/*.safetensors))
NOTEBOOKS := $(patsubst notebooks/%.ipynb,docs/notebooks/%.md,$(wildcard notebooks/*.ipynb))

.PHONY: help setup benchmark demo reproduce docs site demo-speed light measure-light test test-all check format web clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(VENV)/installed  ## Make .venv and install the package with what it needs

$(VENV)/installed: pyproject.toml constraints.txt
	@echo "Installing the package and its tools into $(VENV), some minutes the first time"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup  ## Train ProSRN for 5 minutes on sample photographs, score it, draw a comparison
	$(RUN).train experiment=demo

reproduce: setup  ## Tables 2 to 4 and 6, Fig. 7 and the ablations: BUDGET=cpu MINUTES=10 SEEDS=0 TRAIN=dir DATA=dir
	$(RUN).reproduce budget=$(BUDGET) minutes=$(MINUTES) steps=$(STEPS) seeds=$(SEEDS) train="$(TRAIN)" data="$(DATA)" out="$(OUT)" $(WORDS)

benchmark: setup  ## Measure training, data and upscaling, as ratios
	$(RUN).benchmark all

docs: setup  ## Write the tables of the released weights, in the README and the results
	$(RUN).document README.md docs/results.md

site: $(NOTEBOOKS) docs/demo/ort/ort.wasm.min.mjs docs/demo/model/prosrn_light_step_x2.json  ## Build the documentation into site/; a warning is an error
	$(BIN)/zensical build --strict --clean

demo-speed: site  ## Time the page that enlarges in the browser beside the command: PICTURE=file
	PYTHONPATH=tests:tests/integration $(BIN)/python tests/integration/measure_demo.py $(PICTURE)

$(VENV)/installed-site: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs,export,browser]'
	@touch $@

# ONNX Runtime for browsers: for WebAssembly alone, and the larger one for WebGPU
ORT := ort.wasm.min.mjs ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm \
	ort.webgpu.min.mjs ort-wasm-simd-threaded.asyncify.mjs ort-wasm-simd-threaded.asyncify.wasm

docs/demo/ort/ort.wasm.min.mjs: browser/package-lock.json
	@command -v npm > /dev/null || { echo "error: npm must be installed, which brings the demo its runtime; install Node.js"; exit 1; }
	npm ci --prefix browser --ignore-scripts --no-audit --no-fund
	@mkdir -p docs/demo/ort
	cp $(addprefix browser/node_modules/onnxruntime-web/dist/,$(ORT)) docs/demo/ort/
	@touch $@

docs/demo/model/prosrn_light_step_x2.json: src/prosr_lightning/released/prosrn_light.safetensors $(VENV)/installed-site
	$(RUN).export -n prosrn_light --format web -o docs/demo/model

light: $(EXPORTED)  ## Build dist/prosr_upscale-*.whl: the command prosr-upscale without PyTorch
	$(BIN)/python -m build --wheel --no-isolation --outdir dist light

measure-light: light  ## Megabytes, seconds to install and to the first picture, of that wheel and of the whole package
	$(BIN)/python -m build --wheel --no-isolation --outdir dist
	$(BIN)/python light/measure.py -c constraints.txt dist/prosr_lightning-*.whl dist/prosr_upscale-*.whl

build/light/released/%.onnx: src/prosr_lightning/released/%.safetensors $(VENV)/installed-export
	$(RUN).export -n $* --graph step -o build/light
	@mkdir -p $(@D) && mv build/light/$*_step_x2.onnx $@

$(VENV)/installed-export: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,export]'
	@touch $@

# executed beside build/, so that notebooks/ stays clean; links lead to the pages of the site
docs/notebooks/%.md: notebooks/%.ipynb $(VENV)/installed-site
	@mkdir -p build/notebooks docs/notebooks
	cp $< build/notebooks/
	$(BIN)/python -m nbconvert --to markdown --execute --output-dir docs/notebooks build/notebooks/$*.ipynb
	sed -i -E 's#\(([0-9]_[a-z_]+)\.ipynb\)#(\1.md)#; s#\.\./docs/#../#' $@

test: setup  ## Run the tests, as CI does; WORKERS=N side by side, 2 unless set
	$(PYTEST)

test-all: setup  ## Run the slow tests too
	$(PYTEST) -m 'slow or not slow'

check: setup  ## Format, lint, types, layering, tests: what must hold before a commit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

format: setup  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

web: .venv-web/installed  ## Serve a page to try it on; MODEL=file for your own weights
	.venv-web/bin/python -m prosr_lightning.web $(if $(MODEL),--model $(MODEL))

# gradio needs an older pillow and tomlkit than the rest is tested with, hence an environment of its own
.venv-web/installed: pyproject.toml constraints.txt
	@echo "Installing the page into .venv-web, some minutes the first time"
	$(PYTHON) -m venv .venv-web
	grep -vE '^(pillow|tomlkit)==' constraints.txt > .venv-web/constraints.txt
	.venv-web/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-web/constraints.txt -e '.[web]'
	@touch $@

clean:  ## Remove .venv, caches and builds; runs in logs/ stay
	rm -rf $(VENV) .venv-web build dist site docs/notebooks docs/demo/ort docs/demo/model browser/node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
