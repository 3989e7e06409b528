# Everything a fresh machine needs is set up on the way: `make train` and `make test` are all there is to know.
#
#   make train      train a detector on real aerial photographs with the fused losses
#   make test       prove the rest: every backend this machine has, and the CUDA kernels even without a GPU
#   make bench      measure, beside the peers        make bench-quick   a few, against the committed results
#   make gpu        everything that wants a GPU, in one run with the Python that is here: docs/gpu_day.md
#   make accuracy   the errors of every backend, for docs/accuracy.md
#   make counts     what the CUDA kernels execute and move, and a model of their time, for docs/gpu_tables.md
#   make emulate    the tests on the emulated GPU    make lint          formatters and types
#   make wheel      build a wheel                    make format        let the formatters have their way
#   make asan       the tests of the losses on CPU kernels that AddressSanitizer watches
#   make libraries  the losses beside kornia's, MONAI's and segmentation-models-pytorch's
#   make docs       draw the losses for docs/losses.md
#   make mutate     plant faults in the kernels, and see which tests on the emulated GPU notice

PYTHON ?= python3
VENV ?= .venv
IN_VENV := $(VENV)/bin/python
PIP := $(IN_VENV) -m pip install -q --disable-pip-version-check

# What to build for: the GPU that is here; else the emulated one where the tests want it; else the CPU.
HAS_GPU := $(shell nvidia-smi -L >/dev/null 2>&1 && echo yes)
HAS_NVCC := $(shell command -v nvcc >/dev/null 2>&1 && echo yes)
ifneq ($(and $(HAS_GPU),$(HAS_NVCC)),)
BUILD ?= gpu
else ifneq ($(and $(HAS_NVCC),$(filter test emulate mutate accuracy counts,$(MAKECMDGOALS))),)
BUILD ?= emulated
else  # what is built already will do
BUILD ?= $(firstword $(patsubst $(VENV)/.built-%,%,$(wildcard $(VENV)/.built-*)) cpu)
endif
BUILD_OPTIONS_cpu := IOULOSS_NO_CUDA=1
BUILD_OPTIONS_emulated := TORCH_CUDA_ARCH_LIST=9.0+PTX
BUILD_OPTIONS_gpu := FORCE_CUDA=1

# What runs a command with a CUDA device, if there is any.
EMULATED := $(IN_VENV) -m tools.emulated_cuda
ON_DEVICE = $(if $(filter emulated,$(BUILD)),$(EMULATED))

SOURCES := setup.py pyproject.toml $(wildcard csrc/*/*)
TORCH := $(VENV)/.torch
BUILT := $(VENV)/.built-$(BUILD)

# Where libraries with the same losses are, beside the ordinary environment and unseen from it.
LIBRARIES := $(VENV)/libraries

# The tests of every backend: all that is in these folders, on the emulated device and without the extension too. What a
# file has to be left out of, or in which half it runs, is its marker: pyproject.toml.
LOSSES := $(addprefix tests/,boxes logits rows regions calls)
# Some tests take minutes, most milliseconds.
IN_PARALLEL := --numprocesses=auto --dist=worksteal
# What the tests leave out of the CUDA kernels.
COVERAGE := $(VENV)/cuda_coverage

.PHONY: train test emulate emulate-regression emulate-others emulate-counts libraries mutate gpu bench bench-quick accuracy \
	asan counts docs lint format wheel clean

$(TORCH): requirements/torch.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r $<
	touch $@

$(BUILT): $(TORCH) $(SOURCES)
	$(BUILD_OPTIONS_$(BUILD)) $(IN_VENV) -m pip install -q --disable-pip-version-check --no-build-isolation -e .
	rm -f $(VENV)/.built-*
	touch $@

$(VENV)/.train: requirements/train.txt $(TORCH)
	$(PIP) -r $<
	$(PIP) --no-deps deepforest==2.1.0
	touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.train
	$(PIP) -r $<
	touch $@

# Without what they require, lest another torch come with them; and anew, as pip overwrites nothing in a target.
$(VENV)/.libraries: requirements/libraries.txt $(TORCH)
	rm -rf $(LIBRARIES)
	$(PIP) --no-deps --target $(LIBRARIES) -r $<
	touch $@

$(VENV)/.lint: requirements/lint.txt $(TORCH)
	$(PIP) -r $<
	touch $@

train: $(BUILT) $(VENV)/.train
	$(IN_VENV) examples/train_detector.py $(ARGS)

# Threads of torch that wait for each other let the other test processes have the cores.
test: export OMP_WAIT_POLICY := passive
test: $(BUILT) $(VENV)/.test
	$(IN_VENV) -m pytest $(IN_PARALLEL) -m "not reference"
	IOULOSS_NO_EXT=1 $(IN_VENV) -m pytest -q $(IN_PARALLEL) -m "not extension and not libraries" \
		$(LOSSES) tests/package tests/peers
	$(MAKE) BUILD=$(BUILD) libraries
ifeq ($(BUILD),emulated)
	$(MAKE) emulate
endif

# The whole table of tests on a CUDA device that executes the compiled kernels without a GPU, docs/emulated_cuda.md, and
# at the end whether it tried every kernel out.
emulate: $(BUILT) $(VENV)/.test
	$(IN_VENV) -m pytest -q tests/tools/emulated_cuda
	$(MAKE) --jobs=2 --output-sync BUILD=$(BUILD) emulate-others emulate-regression emulate-counts
	$(IN_VENV) -m tools.cuda_coverage $(COVERAGE)-regression.json $(COVERAGE)-others.json

emulate-regression: $(BUILT)
	$(EMULATED) --coverage $(COVERAGE)-regression.json $(IN_VENV) -m pytest -q -m regression $(LOSSES)

emulate-others: $(BUILT)
	$(EMULATED) --coverage $(COVERAGE)-others.json $(IN_VENV) -m pytest -q -m "not regression" $(LOSSES)

emulate-counts: $(BUILT)
	$(EMULATED) $(IN_VENV) -m pytest -q tests/counts

libraries: $(BUILT) $(VENV)/.test $(VENV)/.libraries
	PYTHONPATH=$(LIBRARIES) $(IN_VENV) -m pytest -q -m libraries tests/peers tests/tools

# What is read or written beside a tensor on the CPU, by whichever of the losses' tests. A build of its own, and a run of
# twenty minutes, so not a part of `make test`. Python itself is not built for the sanitizer, so that has to be loaded first.
ASAN := build/asan
asan: $(TORCH) $(VENV)/.test
	mkdir -p $(ASAN)
	cp -Rp setup.py pyproject.toml csrc iouloss $(ASAN)
	rm -f $(ASAN)/iouloss/*.so
	cd $(ASAN) && IOULOSS_NO_CUDA=1 CFLAGS="-fsanitize=address -fno-omit-frame-pointer" LDFLAGS=-fsanitize=address \
		$(abspath $(IN_VENV)) setup.py -q build_ext --inplace
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
		ASAN_OPTIONS=detect_leaks=0 OMP_WAIT_POLICY=passive \
		$(IN_VENV) -m pytest -q $(IN_PARALLEL) -o pythonpath="$(ASAN) . tests/common" $(ARGS) $(LOSSES)

# Which faults in the CUDA sources those tests notice: docs/mutations.md. Not a part of `make test`; takes long.
mutate: $(BUILT) $(VENV)/.test
	$(IN_VENV) -m tools.mutate_cuda $(ARGS)

# No environment of its own, and nothing to download: what a CUDA image has is enough.
gpu:
	$(PYTHON) -m tools.gpu_day $(ARGS)

bench: $(BUILT) $(VENV)/.train
	$(IN_VENV) -m benchmarks $(ARGS)

bench-quick: $(BUILT) $(VENV)/.train
	$(IN_VENV) -m benchmarks.compare $(ARGS)

# docs/accuracy.md, with the CUDA kernels: on the GPU, or on the emulated one.
accuracy: $(BUILT) $(VENV)/.test
	$(ON_DEVICE) $(IN_VENV) -m benchmarks.accuracy $(ARGS)

# The pictures of docs/losses/.
docs: $(BUILT) $(VENV)/.train
	$(IN_VENV) docs/plot_losses.py $(ARGS)

# The tables of docs/gpu_tables.md: what is counted on the emulated GPU, and a model that is made of the counts.
counts: $(BUILT) $(VENV)/.test
	$(EMULATED) $(IN_VENV) -m benchmarks.gpu_counts --json benchmarks/results/gpu_counts.json --page
	$(IN_VENV) -m benchmarks.roofline --json benchmarks/results/roofline.json --page

CPP_SOURCES = $(shell git ls-files '*.h' '*.cpp' '*.cu' '*.cuh')

lint: $(VENV)/.lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/clang-format --dry-run --Werror $(CPP_SOURCES)

format: $(VENV)/.lint
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/clang-format -i $(CPP_SOURCES)

wheel: $(TORCH)
	$(IN_VENV) -m pip wheel --no-build-isolation --no-deps -w dist .

clean:
	rm -rf build dist $(VENV) *.egg-info iouloss/*.so iouloss/_build_info.py
