"""The configured base models: where they lie, and which revision each is."""

from collections.abc import Mapping
from pathlib import Path

from palmfolio_runtime.digest import digest, file_digest
from palmfolio_trainer.models.loading import PACKAGED_MODELS, BaseModelError, resolve_base_model
from palmfolio_trainer.policies.spec import BaseModel

_PACKAGED = "packaged:"
# What responses depend on. config.json is left out: it names the library's version.
_REVISION_PATTERNS = ("*.safetensors", "tokenizer.json", "chat_template.jinja")


def resolve(sources: Mapping[str, str], cache: Path) -> dict[str, BaseModel]:
    """The base models by name, converted into the cache where they are not there yet.

    Args:
        sources: by name, a folder in Hugging Face's layout or `packaged:` and the distribution of a
            packaged GGUF model.
        cache: for converted models.

    Raises:
        RuntimeError: a model cannot be used; the message names its key.
    """
    found = {}
    for name, source in sources.items():
        try:
            path = resolve_base_model(_known_name(source), cache)
            found[name] = BaseModel(name, _revision(path), str(path))
        except (OSError, ValueError) as error:
            raise RuntimeError(f"base_models.{name}: {source} cannot be used: {error}") from error
    return found


def _known_name(source: str) -> str:
    """What `resolve_base_model` calls the source."""
    if not source.startswith(_PACKAGED):
        return source
    module = source.removeprefix(_PACKAGED).replace("-", "_")
    for name, packaged in PACKAGED_MODELS.items():
        if packaged.module == module:
            return name
    known = ", ".join(packaged.module.replace("_", "-") for packaged in PACKAGED_MODELS.values())
    raise BaseModelError(f"no packaged model of that name; there are: {known}")


def _revision(path: Path) -> str:
    files = sorted({file for pattern in _REVISION_PATTERNS for file in path.glob(pattern)})
    if not any(file.suffix == ".safetensors" for file in files):
        raise BaseModelError(f"{path} holds no safetensors")
    return digest({file.name: file_digest(file) for file in files})
