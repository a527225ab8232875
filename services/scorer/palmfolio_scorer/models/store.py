"""The loaded models of one scorer; traits that ask for the same model share it."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import TypeVar, cast

from palmfolio_scorer.models.files import locate, model_revision
from palmfolio_scorer.models.model import DeviceModel, ModelOptions, sharing_key
from palmfolio_scorer.models.sources import ModelSources

Model = TypeVar("Model", bound=DeviceModel)


@dataclass(frozen=True)
class LoadedModel:
    """A model, and the options that it was loaded with."""

    options: ModelOptions
    model: DeviceModel


class ModelStore:
    """Loads each model once. Not thread-safe: traits are loaded one after another."""

    def __init__(
        self, device: str, sources: ModelSources | None = None, before: "ModelStore | None" = None
    ) -> None:
        """
        Args:
            device: where models are loaded.
            sources: where models may come from; None allows any folder and no hub id.
            before: the store that this one replaces, if any: its models whose files have not
                changed are not loaded again.
        """
        self.device = device
        self.sources = sources or ModelSources()
        self._before = dict(before._models) if before else {}
        self._models: dict[Hashable, LoadedModel] = {}

    def get(self, kind: type[Model], options: ModelOptions, make: Callable[[str], Model]) -> Model:
        """The model for these options, from `make(device)` when it is not loaded yet.

        Raises:
            TraitLoadError: the model may not be loaded, or cannot be.
        """
        key = sharing_key(kind, options, self.device)
        if key not in self._models:
            # Also for a model that is loaded already: the operator may have narrowed the sources.
            self.sources.check(options)
            known = self._before.get(key)
            if known is None or _has_changed(known):
                known = LoadedModel(options, make(self.device))
            self._models[key] = known
        return cast(Model, self._models[key].model)

    def loaded(self) -> list[LoadedModel]:
        """The models with their options, in the order of loading."""
        return list(self._models.values())

    def forget_before(self) -> None:
        """Drops the models of the store `before` that this one does not use."""
        self._before.clear()

    def __iter__(self) -> Iterator[DeviceModel]:
        return (loaded.model for loaded in self._models.values())


def _has_changed(known: LoadedModel) -> bool:
    """Whether a folder's files differ from those loaded. A hub id is taken as unchanged."""
    return model_revision(locate(known.options), known.model.revision) != known.model.revision
