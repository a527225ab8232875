"""The configured base models: where their files are, and which revision each one is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from palmfolio_runtime.identity import identity
from palmfolio_trainer.models.loading import BaseModelError
from palmfolio_trainer.models.packages import converted_folder
from palmfolio_trainer.models.revision import has_weights, revisions

_PACKAGED = "packaged:"
_ID_DIGITS = 12
_VERSION = 2


@dataclass(frozen=True)
class BaseModel:
    """A model that policies are trained from. Unchanged, it is a policy itself.

    Attributes:
        name: the name in the trainer's configuration.
        revision: digest of everything that determines what the model says.
        path: the folder of its safetensors.
        former_revision: its revision in the form that older trainers stored; empty if unknown.
        stored_policy: the id that its policy has in the database, if that is an older one.
    """

    name: str
    revision: str
    path: str
    former_revision: str = ""
    stored_policy: str = ""

    @property
    def address(self) -> str:
        """The content address of the unchanged model's policy."""
        return base_address(self.name, self.revision)

    @property
    def policy_id(self) -> str:
        """The id of the unchanged model's policy."""
        return self.stored_policy or self.address


def base_address(name: str, revision: str) -> str:
    """The content address of the policy that a base model is, unchanged."""
    model = {"base_model": name, "base_revision": revision}
    return f"base-{identity('base_model', _VERSION, model, _ID_DIGITS)}"


def resolve(sources: Mapping[str, str], cache: Path) -> dict[str, BaseModel]:
    """The base models by name. Packaged models are converted into the cache on first use.

    Args:
        sources: by name, a folder in Hugging Face's layout or `packaged:` and the distribution of
            a packaged GGUF model.
        cache: for converted models.

    Raises:
        RuntimeError: a model cannot be used; the message names its configuration key.
    """
    models = {}
    for name, source in sources.items():
        try:
            folder = resolve_folder(source, cache)
            if not has_weights(folder):
                raise BaseModelError(f"{folder} holds no safetensors")
            revision, former = revisions(folder)
            models[name] = BaseModel(name, revision, str(folder), former)
        except (OSError, ValueError) as error:
            raise RuntimeError(f"base_models.{name}: {source} cannot be used: {error}") from error
    return models


def resolve_folder(source: str, cache: Path) -> Path:
    """The folder that holds a base model as safetensors.

    A packaged model is converted on first use, in float32, which holds the stored weights exactly.
    A folder is used as it is.

    Args:
        source: as in `resolve`.
        cache: where converted models are kept; made if missing. Processes may share it.

    Raises:
        BaseModelError: the package is not installed, or the folder holds no model.
    """
    if source.startswith(_PACKAGED):
        return converted_folder(source.removeprefix(_PACKAGED), cache)
    folder = Path(source)
    if not (folder / "config.json").is_file():
        raise BaseModelError(
            f"{source!r} is neither a folder with a config.json nor "
            f"{_PACKAGED} and the name of a package that holds a GGUF model"
        )
    return folder
