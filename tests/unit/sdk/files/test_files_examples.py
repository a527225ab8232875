"""The examples of `palmfolio.files` run, and every name that it offers is documented."""

import doctest
from pathlib import Path

import pytest

import palmfolio.files
from palmfolio.files import prompts, samples


@pytest.mark.parametrize("module", [prompts, samples], ids=lambda module: module.__name__)
def test_the_examples_run(module: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert (failed, tried > 0) == (0, True)


@pytest.mark.parametrize("name", palmfolio.files.__all__)
def test_what_it_offers_is_documented(name: str) -> None:
    assert getattr(palmfolio.files, name).__doc__
