"""Neither the SDK nor the selector needs torch."""

import subprocess
import sys

import pytest

_PROGRAM = """
import sys
sys.modules["torch"] = None  # importing it fails from now on
import importlib
for name in {names!r}:
    importlib.import_module(name)
"""


@pytest.mark.parametrize(
    "names",
    [
        ("palmfolio", "palmfolio.v1.selector_pb2_grpc"),
        ("palmfolio_selector", "palmfolio_selector.__main__", "palmfolio_selector.service"),
    ],
)
def test_imports_need_no_torch(names: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(names=names)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
