"""Revisions of base models: all that changes what a model says, and nothing else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from palmfolio_runtime.digest import digest, file_digest
from palmfolio_trainer.models.base_models import resolve
from palmfolio_trainer.models.revision import revisions

FILES = {
    "config.json": {
        "hidden_size": 8,
        "rope_theta": 10_000.0,
        "text_config": {"layers": 2, "dtype": "float32"},
        "dtype": "float32",
        "transformers_version": "5.0.0",
        "_name_or_path": "somewhere",
    },
    "generation_config.json": {"eos_token_id": [2], "transformers_version": "5.0.0"},
    "tokenizer.json": {"model": {"vocab": {"a": 0}}},
    "tokenizer_config.json": {"eos_token": "</s>", "name_or_path": "somewhere"},
    "special_tokens_map.json": {"eos_token": "</s>"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base model's folder."""
    made = tmp_path / "model"
    (made / "additional_chat_templates").mkdir(parents=True)
    for name, content in FILES.items():
        (made / name).write_text(json.dumps(content))
    (made / "model.safetensors").write_bytes(b"weights")
    (made / "chat_template.jinja").write_text("{{ messages }}")
    (made / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")
    return made


def change_json(name: str, **values: object) -> Callable[[Path], None]:
    """Sets values of a JSON file."""

    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **values}))

    return change


def write(name: str, content: bytes = b"other") -> Callable[[Path], None]:
    """Writes a file."""

    def change(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return change


def reformat(folder: Path) -> None:
    """Writes the configuration with other spaces and another order."""
    content = json.loads((folder / "config.json").read_text())
    text = json.dumps(dict(reversed(content.items())), indent=4)
    (folder / "config.json").write_text(text)


@pytest.mark.parametrize(
    "change",
    [
        change_json("generation_config.json", eos_token_id=[2, 3]),
        change_json("config.json", rope_theta=500_000.0),
        change_json("config.json", text_config={"layers": 3}),
        change_json("config.json", quantization_config={"dtype": "int8"}),
        change_json("tokenizer_config.json", eos_token="<end>"),
        change_json("tokenizer.json", model={"vocab": {"b": 0}}),
        change_json("special_tokens_map.json", eos_token="<end>"),
        write("chat_template.jinja"),
        write("additional_chat_templates/tools.jinja"),
        write("model.safetensors"),
        write("model-00002.safetensors"),
        write("model.safetensors.index.json", b"{}"),
        write("added_tokens.json", b'{"<x>": 9}'),
        write("tokenizer.model"),
        write("config.json", b'{"limit": Infinity}'),
    ],
)
def test_whatever_the_loader_reads_changes_the_revision(
    folder: Path, change: Callable[[Path], None]
) -> None:
    before = revisions(folder)[0]
    change(folder)
    assert revisions(folder)[0] != before


@pytest.mark.parametrize(
    "change",
    [
        change_json("config.json", transformers_version="6.0.0"),
        change_json("config.json", dtype="bfloat16", torch_dtype="bfloat16"),
        change_json("config.json", _name_or_path="elsewhere"),
        change_json("config.json", text_config={"layers": 2}),
        change_json("generation_config.json", transformers_version="6.0.0"),
        change_json("tokenizer_config.json", name_or_path="elsewhere", is_local=True),
        write("README.md"),
        write("pytorch_model.bin"),
        reformat,
    ],
)
def test_notes_and_other_files_do_not(folder: Path, change: Callable[[Path], None]) -> None:
    before = revisions(folder)[0]
    change(folder)
    assert revisions(folder)[0] == before


def test_neither_does_the_place(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / "copy")
    assert revisions(copy) == revisions(folder)
    first, second = (resolve({"m": str(f)}, tmp_path / "cache")["m"] for f in (folder, copy))
    assert first.address == second.address
    assert first.path != second.path


def test_the_former_form_is_the_one_that_was_stored(folder: Path) -> None:
    names = ("model.safetensors", "tokenizer.json", "chat_template.jinja")
    assert revisions(folder)[1] == digest({name: file_digest(folder / name) for name in names})


def test_a_folder_without_weights_is_refused_by_its_key(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(RuntimeError, match=r"base_models\.m: .* holds no safetensors"):
        resolve({"m": str(folder)}, tmp_path / "cache")
