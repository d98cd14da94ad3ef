# Everything a clone needs: `make demo` and `make test` set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROTO_VENV := .venv-proto
PROTOS := isthmus/contract/generated/split.proto isthmus/contract/generated/open_inference.proto
CORE := src/isthmus/codec/core
FUZZ_SECONDS ?= 600
# The oldest protoc whose output every supported protobuf runtime takes.
PROTOC := grpcio-tools==1.76.0

.PHONY: demo test test-arm64 test-tritonclient fuzz lint types imports bench bench-agent bench-noise bench-server bench-codec bench-controller bench-links bench-plan bench-llm headline papers ghnd imagenet recipes zoo proto proto-check slim clean help

help:
	@echo "make demo         train, cut, export, serve, stream and measure a small network (about 5 minutes)"
	@echo "make test         run the tests"
	@echo "make test-arm64   the codec's golden streams on an emulated 64-bit ARM; says so where the tools are missing"
	@echo "make test-tritonclient  Triton's own client, in an environment of its own, against isthmus serve"
	@echo "make fuzz         feed the codec's C core wrong bytes for FUZZ_SECONDS (600) under clang's sanitizers"
	@echo "make lint types   ruff, import-linter; mypy"
	@echo "make bench        benchmarks: server (quick, without peers), agent footprint, shaper accuracy"
	@echo "make bench-agent  what the agent costs: memory, time to the first answer, CPU and stages of a frame, what is installed"
	@echo "make bench-noise  does bench --compare cry wolf over equal runs, and what does the harness add (about 8 minutes)"
	@echo "make bench-server the edge server beside MLServer, LitServe, BentoML and Ray Serve: writes docs/server-benchmark.md"
	@echo "make bench-codec  the codec against compressors, picture and video formats: writes docs/codec-benchmark.md"
	@echo "make bench-controller  the controller on recorded links beside fixed placements and an oracle: writes docs/controller.md"
	@echo "make headline     accuracy against bytes and device time by cross-validation, beside every rival: writes docs/headline.md;"
	@echo "                  an evening for each of five folds: Ctrl-C ends it, and the next time it goes on where it was"
	@echo "make imagenet     MobileNetV2 on ImageNet's sample: agreement and top-1 against bytes at every depth of the cut: writes"
	@echo "                  docs/imagenet.md (up to three quarters of an hour)"
	@echo "make recipes      the recipes, and your own, on one task in one plot: writes docs/recipes-compared.md (40 minutes)"
	@echo "make ghnd         YOLOX-nano split without labels: AP50 against bytes and delay over links: writes docs/ghnd.md (1.5 hours)"
	@echo "make bench-links  outages of a link: time to the next answer of the server, answers of the device, false alarms (20 minutes)"
	@echo "make bench-plan   plans beside measurements: placements, links and a small fleet, on two networks (a quarter of an hour)"
	@echo "make bench-llm    split language models beside unsplit ones: writes docs/llm-benchmark.md (about eight minutes)"
	@echo "make papers       tables of published papers made again, theirs beside ours, some on an emulated slow device (as root): writes"
	@echo "                  docs/papers.md (about ten minutes, the first time twenty)"
	@echo "make zoo          docs/zoo.md: what the exporter makes of foreign files and known architectures (about 10 minutes)"
	@echo "make slim         head and tail each in an environment of their own, without torch"
	@echo "make proto        generate the messages anew; proto-check: are they current?"
	@echo "make clean        remove what was built"

$(READY): pyproject.toml constraints.txt $(wildcard $(CORE)/*.c $(CORE)/*.h)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,test]'
	@touch $@

demo: $(READY)
	$(BIN)/isthmus demo -o demo-output

test: $(READY)
	$(BIN)/python -m pytest

test-arm64: $(READY)
	$(BIN)/python tests/arm64.py

# A part of `make test` too, where it is passed over if the client cannot be installed.
test-tritonclient: $(READY)
	$(BIN)/python -m pytest tests/test_triton_client.py

# Guided by coverage; new inputs go to build/fuzz, the few that a clone starts from are in tests/codec/corpus.
fuzz:
	mkdir -p build/fuzz/found
	clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I$(CORE) \
		tests/codec/fuzz/decode.c $(CORE)/coding.c $(CORE)/model.c $(CORE)/planes.c -o build/fuzz/decode
	build/fuzz/decode -max_len=4096 -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/ build/fuzz/found tests/codec/corpus

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy src

bench: $(READY)
	$(BIN)/python -m benchmarks.server --quick
	$(BIN)/python benchmarks/agent_footprint.py
	$(BIN)/python benchmarks/shaper_accuracy.py

bench-agent: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/agent_footprint.py
	$(BIN)/python tests/slim.py

bench-noise: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bench_noise

# Installs each peer into an environment of its own below build/bench-server, once; then about a quarter of an hour.
bench-server: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.server

# As root also over the kernel's own TCP, between two network namespaces; about ten minutes for each of the two links.
bench-links: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.links

# Weights and photos of the second network are found by ISTHMUS_DATA.
bench-plan: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.planning

# The trained model and its text are found by ISTHMUS_DATA; without them agreement is left out.
bench-llm: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.llm

bench-codec: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/codec/requirements.txt
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.codec

# Photos, networks and recordings are found by ISTHMUS_DATA.
bench-controller: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.controller

# An evening for each of five folds; what is made is kept in build/headline, which `make clean` removes.
headline: $(READY)
	$(BIN)/python -m benchmarks.headline

# Photos and the trained language model are found by ISTHMUS_DATA, trained networks in build/headline; without them that is left out.
papers: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.papers

# Weights and photos are found by ISTHMUS_DATA; what was measured is kept in build/imagenet.
imagenet: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.imagenet

# Weights and photos are found by ISTHMUS_DATA; what was trained is kept in build/recipes.
recipes: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.recipes

# Detectors and photographs are found by ISTHMUS_DATA; bundles and figures are kept in build/ghnd.
ghnd: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.ghnd

# Foreign files are found by ISTHMUS_DATA; without them the page has the architectures alone.
zoo: $(READY)
	$(BIN)/python benchmarks/exporter_zoo.py -o docs/zoo.md

# What a device and a server install: each extra alone, from a wheel, and torch is nowhere.
slim: $(READY)
	$(BIN)/python tests/slim.py

$(PROTO_VENV)/bin/python:
	$(PYTHON) -m venv $(PROTO_VENV)
	$(PROTO_VENV)/bin/python -m pip install --quiet --disable-pip-version-check '$(PROTOC)' 'setuptools<81'

proto: $(PROTO_VENV)/bin/python
	$(PROTO_VENV)/bin/python -m grpc_tools.protoc -I isthmus/contract/generated=src/isthmus/contract \
		--python_out=src --pyi_out=src --grpc_python_out=src $(PROTOS)

proto-check: proto
	git diff --exit-code -- src/isthmus/contract/generated

clean:
	rm -rf $(VENV) $(PROTO_VENV) build dist demo-output .nox .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
