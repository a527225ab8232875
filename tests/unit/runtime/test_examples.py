"""The examples in the runtime's docstrings."""

import doctest
from types import ModuleType

import pytest

from palmfolio_runtime import identity, names, pages
from palmfolio_runtime.prompts import checks, prompt
from palmfolio_runtime.settings import ranges


@pytest.mark.parametrize("module", [identity, names, pages, checks, prompt, ranges])
def test_the_examples_are_true(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.attempted and not results.failed
