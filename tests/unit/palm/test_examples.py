"""The examples in the docstrings of palm: every public name has one, and every one is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import palmfolio_palm as palm

MODULES = [
    palm.__name__,
    *(module.name for module in pkgutil.walk_packages(palm.__path__, f"{palm.__name__}.")),
]
# Names of types have no docstring of their own.
ALIASES = {"ProgressCallback", "SelectionCallback"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.FAIL_FAST)
    assert result.failed == 0


@pytest.mark.parametrize("name", sorted(set(palm.__all__) - ALIASES))
def test_every_public_name_has_an_example(name: str) -> None:
    assert ">>>" in (getattr(palm, name).__doc__ or "")
