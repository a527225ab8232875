"""The sources of models that the operator allows, and the files that their folders may hold.

Weights are read from safetensors only: the author of a pickle can run code where it is read.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from palmfolio_scorer.models.files import Origin, TraitLoadError, find_model
from palmfolio_scorer.models.model import ModelOptions

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.h5", "*.msgpack")
"""Names of files that are never read, and never downloaded."""


@dataclass(frozen=True)
class ModelSources:
    """The models that the operator allows."""

    roots: tuple[Path, ...] | None = None
    """Folders that hold the models; None allows any folder that a trait names. Installed model
    packages are always allowed."""
    hub: bool = False
    """Whether a model may be downloaded by its hub id."""

    def check(self, options: ModelOptions) -> None:
        """Checks a model's origin and files, before anything reads them.

        Raises:
            TraitLoadError: there is no such model, it lies outside `roots` (as it is named, through
                `..` or through a link), it is a hub id and those are not allowed, or it cannot be
                loaded safely.
        """
        source, origin = find_model(options.model)
        if origin is Origin.HUB:
            if not self.hub:
                raise TraitLoadError(
                    f"there is no model folder {source}, and hub ids are not allowed: give a "
                    "folder, or set `allow_hub: true` in the scorer's configuration"
                )
            return
        if origin is Origin.FOLDER and self.roots is not None:
            _check_inside(Path(source), self.roots)
        _check_files(Path(source))


def _check_inside(folder: Path, roots: tuple[Path, ...]) -> None:
    allowed = [root.expanduser().resolve() for root in roots]
    for path in _with_links_followed(folder):
        if not any(path.is_relative_to(root) for root in allowed):
            raise TraitLoadError(
                f"the model folder {folder} leads to {path}, outside `model_roots` "
                f"({', '.join(map(str, roots)) or 'none'})"
            )


def _with_links_followed(folder: Path) -> Iterator[Path]:
    """The real paths of a folder and of everything below it, each once."""
    seen: set[Path] = set()
    waiting = [folder]
    while waiting:
        path = waiting.pop().resolve()
        if path in seen:
            continue
        seen.add(path)
        yield path
        if path.is_dir():
            waiting.extend(path.iterdir())


def _check_files(folder: Path) -> None:
    if (folder / "adapter_config.json").exists():
        raise TraitLoadError(
            f"the model folder {folder} holds an adapter (adapter_config.json), which itself "
            "names its base model: merge it into its base model, and name the merged model"
        )
    for subfolder, _, names in os.walk(folder, followlinks=False):
        pickled = sorted(n for n in names if n.startswith("pytorch_model") and n.endswith(".bin"))
        if pickled and not any(name.endswith(".safetensors") for name in names):
            raise TraitLoadError(
                f"the model folder {subfolder} holds pickled weights only ({pickled[0]}); pickles "
                "are never loaded: save the model as safetensors (`save_pretrained`)"
            )
