# make demo       real tables and figures from real collections (about 15 minutes on two cores with
#                bfloat16 instructions)
# make test       every test; make test-fast: those that need no download and no model
# make test-cluster  the SLURM profile, on a real SLURM where one can be started, and the Kubernetes
#                profile, on an object store of this machine
# make lint       style of code, rules and workflow
# Everything they need goes into .venv, resources and results, inside this folder.
#
# PYTHON=...       Python 3.11 (what results were made with), 3.12 or 3.13
# TORCH_INDEX=URL  an index to look for torch in as well; pytorch.org names one of builds for CPUs
#                  (200 MB). Without it pip takes the package index's own build, which on Linux brings
#                  CUDA (4.7 GB)
# TORCH=...        what pip installs for torch: a build such as torch==2.13.0+cpu, or a wheel's path
# CORES=...        for Snakemake; all by default

SHELL := bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := $(CURDIR)/.venv
CORES ?= all
TORCH ?= torch==2.13.0
TORCH_INDEX ?=

export PATH := $(VENV)/bin:$(PATH)
export PYTHONHASHSEED := 0
export PYTHONNOUSERSITE := 1
# Threads that wait must not burn the core that another job needs.
export OMP_WAIT_POLICY := passive
export TOKENIZERS_PARALLELISM := false
# Caches that libraries would keep in the user's home.
export XDG_CACHE_HOME := $(VENV)/cache
export XDG_CONFIG_HOME := $(VENV)/config
export MPLCONFIGDIR := $(VENV)/cache/matplotlib
export HF_HOME := $(CURDIR)/resources/huggingface
export IR_DATASETS_HOME := $(CURDIR)/resources/ir_datasets

.PHONY: demo report test test-fast test-cluster lint environment clean
.DEFAULT_GOAL := demo

demo: environment
	snakemake --cores $(CORES) report

# Of another experiment: make report CONFIG=mine.yaml
report: environment
	snakemake --cores $(CORES) report $(if $(CONFIG),--configfile=$(CONFIG))

# What tests share comes first: those that need it are skipped where it is not, and two that made it
# at once would be in each other's way. Two processes, since each may hold a real model; a module's
# tests share one, and tests/conftest.py has the slow ones begin.
test: environment
	snakemake --cores $(CORES) $(foreach name,smollm2 minilm,resources/models/$(name)/headrank.json) \
		$(foreach name,insuranceqa semanlink lee,resources/collections/$(name)/collection.json) \
		resources/indexes/semanlink/index.json
	python -m pytest --numprocesses logical --maxprocesses 2 --dist loadfile --no-loadscope-reorder

# In as many processes as there are cores, four at most.
test-fast: environment
	python -m pytest -m "not slow" --numprocesses logical --maxprocesses 4 --dist loadfile

test-cluster: environment $(VENV)/cluster/complete
	PYTHONPATH=$(VENV)/cluster python -m pytest -rs tests/cluster

# Executors slow every start of Snakemake down, so they stand beside the environment.
$(VENV)/cluster/complete: tests/cluster/requirements.txt profiles/kubernetes/requirements.txt
	rm -rf $(VENV)/cluster
	$(VENV)/bin/pip install --no-cache-dir --quiet --no-deps --target $(VENV)/cluster --requirement $<
	touch $@

lint: environment
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint

environment: $(VENV)/complete

# torch first and alone, so that pip takes the build that is asked for; then the exact rest. A build
# such as 2.13.0+cpu satisfies the lock's torch==2.13.0, and is preferred to a plain 2.13.0.
# The package itself is linked, so that the `headrank` command runs this folder's code.
$(VENV)/complete: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" \
	&& $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	|| { echo "Python 3.11 to 3.13 is needed; name it with: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --no-cache-dir --quiet $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(TORCH)
	$(VENV)/bin/pip install --no-cache-dir --quiet --requirement requirements.lock
	$(VENV)/bin/pip install --no-cache-dir --quiet --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV) results results-* logs .snakemake
