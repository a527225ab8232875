# Every target makes the virtual environment it needs by itself.
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check
# Every file's hash must be in a lock file, and nothing is installed that is not in one.
LOCKED := $(PIP) install --quiet --progress-bar on --no-deps --require-hashes -r
# torch's build: `make venv TORCH=cpu` or `TORCH=index`. By default the CPU's where pip finds one.
TORCH := auto
SOURCES := palm clients/python/palmfolio services requirements docs tests benchmarks protos examples/trait_plugin

.PHONY: quickstart test test-docker check lint protos check-protos reference check-reference format lock venv clean

venv: $(VENV)/.installed

$(VENV)/.installed: requirements/dev.lock requirements/torch.lock requirements/torch-cpu.lock pyproject.toml
	@test -x $(PY) || python3 -m venv $(VENV)
	@echo "Installing palmfolio into $(VENV) (a few minutes the first time)"
	@$(LOCKED) requirements/dev.lock
	@case $(TORCH) in \
	  cpu) $(LOCKED) requirements/torch-cpu.lock;; \
	  index) $(LOCKED) requirements/torch.lock;; \
	  *) $(LOCKED) requirements/torch-cpu.lock \
	    || { echo "pip finds no CPU build of torch here: installing the package index's build"; \
	         $(LOCKED) requirements/torch.lock; };; \
	esac
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

quickstart: venv
	$(BIN)/palmfolio quickstart

test: venv
	$(PY) -m pytest tests

# The stack in containers, with a real engine; `make test` has these tests too where one runs.
test-docker: venv
	PALMFOLIO_REQUIRE_DOCKER=1 $(PY) -m pytest tests/docker

# What to run before every commit: under a minute once the caches are warm.
check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy $(SOURCES)
	$(PY) -m pytest tests/unit -m "not slow" -n 2

lint: venv check-protos check-reference
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy $(SOURCES)

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Generates the Python code of the protocol, and its type stubs.
protos: venv
	$(PY) protos/generate.py clients/python

# Lints the protocol, and fails when the generated code is not what the protocol generates.
check-protos: venv
	$(PY) protos/check.py

# Writes docs/reference from the docstrings and from the command line's own help.
reference: venv
	$(PY) docs/reference/generate.py

# Fails when docs/reference is not what the code gives now.
check-reference: venv
	$(PY) docs/reference/generate.py --check

# Writes the lock files from pyproject.toml; `make lock UPGRADE=--upgrade` takes newer versions.
lock: venv
	$(PY) requirements/lock.py $(UPGRADE)

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
