"""The examples in docstrings that plugin authors read are true."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    "calibration.fitting",
    "calibration.normalisation",
    "samples",
    "traits.catalogue.spec",
    "traits.checks.check",
    "traits.checks.sentiment",
    "traits.kind",
    "traits.registry",
    "traits.templates",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    result = doctest.testmod(import_module(f"palmfolio_scorer.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
