"""The revision of a base model: a digest of everything in its folder that changes what it says."""

import json
from pathlib import Path
from typing import Any

from palmfolio_runtime.digest import digest, file_digest
from palmfolio_runtime.identity import identity

_VERSION = 2
_WEIGHTS = "*.safetensors"
# Every file that Transformers reads when it loads a model, its tokeniser, its chat template or its
# defaults of generation, end tokens among them.
_FILES = (
    _WEIGHTS,
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
    "*.tiktoken",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tekken.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
)
# Notes that change nothing: who wrote the files, from where, and the number format of the weights
# as they were saved. The loader chooses the number format itself.
_NOTES = frozenset(
    {
        "transformers_version",
        "_name_or_path",
        "name_or_path",
        "_commit_hash",
        "dtype",
        "torch_dtype",
        "is_local",
        "local_files_only",
        "tokenizer_file",
        "special_tokens_map_file",
    }
)
# What the first form of revisions covered. A folder is still recognised by it.
_FORMER_FILES = (_WEIGHTS, "tokenizer.json", "chat_template.jinja")


def has_weights(folder: Path) -> bool:
    """Whether the folder holds safetensors."""
    return any(folder.glob(_WEIGHTS))


def revisions(folder: Path) -> tuple[str, str]:
    """The revision of the model in a folder, and the one that it had in the former form.

    Returns:
        Two SHA-256 in hexadecimal. The folder's place and the time of its files are not in them.
    """
    weights = {path: file_digest(path) for path in folder.glob(_WEIGHTS)}
    contents = {
        path.relative_to(folder).as_posix(): weights.get(path) or _content_digest(path)
        for path in _matching(folder, _FILES)
    }
    former = {
        path.name: weights.get(path) or file_digest(path)
        for path in _matching(folder, _FORMER_FILES)
    }
    return identity("base_model_files", _VERSION, contents), digest(former)


def _matching(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


def _content_digest(path: Path) -> str:
    """A digest of a file's bytes; for JSON, of its values without notes."""
    if path.suffix != ".json":
        return file_digest(path)
    try:
        return digest(_without_notes(json.loads(path.read_text(encoding="utf-8"))))
    except ValueError:
        # Not JSON, or with an infinite number, which canonical JSON refuses.
        return file_digest(path)


def _without_notes(value: Any) -> Any:
    """A configuration without notes, at its top and in the configurations of its parts."""
    if not isinstance(value, dict):
        return value
    return {
        key: _without_notes(entry) if _is_part(key) else entry
        for key, entry in value.items()
        if key not in _NOTES
    }


def _is_part(key: str) -> bool:
    # `quantization_config` names number formats that do matter.
    return key.endswith("_config") and key != "quantization_config"
