"""Data sets in the layout of the Hugging Face hub, from a folder: tests reach no hub."""

import sys
from pathlib import Path

import datasets  # type: ignore[import-untyped]
import pytest

from palmfolio import Prompt
from palmfolio.errors import ConfigurationError
from palmfolio.files import SampleFile, read_prompts

CARD = """---
configs:
- config_name: main
  data_files:
  - {split: train, path: train.jsonl}
  - {split: test, path: test.jsonl}
- config_name: small
  data_files:
  - {split: test, path: test.jsonl}
---
"""
FIELDS = {"prompt": "question", "reference": "answer", "response": "answer"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    data = tmp_path / "riddles"
    data.mkdir()
    (data / "README.md").write_text(CARD)
    (data / "train.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    line = '{"question": "2 + 2?", "answer": "4"}\n'
    (data / "test.jsonl").write_text(line + line.replace("2", "3"))
    return data


def test_a_split_is_read(folder: Path) -> None:
    prompts = read_prompts(f"hub:{folder}#main/test", fields={"prompt": "question"})
    assert prompts == (Prompt("2 + 2?"), Prompt("3 + 3?"))
    (only,) = read_prompts(f"hub:{folder}#main/train", fields={"prompt": "question"})
    assert only == Prompt("1 + 1?")


def test_samples_are_read_as_often_as_needed(folder: Path) -> None:
    file = SampleFile(f"hub:{folder}#small/test", fields=FIELDS)
    assert (file.count(), [row.sample.response for row in file]) == (2, ["4", "4"])


def test_faults_name_the_row(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"riddles#small/test, row 1, row 2: needs a"):
        read_prompts(f"hub:{folder}#small/test")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hub:{}#main/validation", "cannot load the data set .*validation"),
        ("hub:{}#other/test", "cannot load the data set .*other"),
        ("hub:{}", "cannot load the data set .*main"),
        ("hub:owner/name", "names no revision"),
        ("hub:owner/name#test", "names no revision"),
        ("hub:", "is not of the form hub:OWNER/NAME@REVISION#CONFIGURATION/SPLIT"),
        ("hub:a@b@c", "is not of the form"),
        ("hub:a#b#c", "is not of the form"),
    ],
)
def test_what_cannot_be_read_is_named(folder: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_prompts(name.format(folder))


def test_several_splits_are_listed(folder: Path) -> None:
    (folder / "README.md").unlink()
    with pytest.raises(
        ConfigurationError, match=r"has several splits: t\w+, t\w+; name one: #SPLIT"
    ):
        read_prompts(f"hub:{folder}")


def test_without_datasets_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'palmfolio\[hub\]'"):
        read_prompts(f"hub:{folder}#main/train")
