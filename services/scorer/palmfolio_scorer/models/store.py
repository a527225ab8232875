"""The loaded models of one scorer: traits that ask for the same one share it."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import TypeVar, cast

from palmfolio_scorer.models.files import locate, model_revision
from palmfolio_scorer.models.model import DeviceModel, ModelOptions, identity
from palmfolio_scorer.models.sources import ModelPlaces

Model = TypeVar("Model", bound=DeviceModel)


@dataclass(frozen=True)
class LoadedModel:
    """A model, and the options that asked for it."""

    options: ModelOptions
    model: DeviceModel


class ModelStore:
    """Loads each model once. Not thread-safe: traits are loaded one after another."""

    def __init__(
        self, device: str, places: ModelPlaces | None = None, before: "ModelStore | None" = None
    ) -> None:
        """
        Args:
            device: where models are loaded.
            places: where models may come from; None allows any folder and no hub id.
            before: the store that this one comes after: what it holds, and is still as it was on
                the disk, is not loaded again.
        """
        self.device = device
        self.places = places or ModelPlaces()
        self._before = dict(before._models) if before else {}
        self._models: dict[Hashable, LoadedModel] = {}

    def get(self, kind: type[Model], options: ModelOptions, make: Callable[[str], Model]) -> Model:
        """The model for these options, from `make(device)` when it is not loaded yet.

        Raises:
            TraitLoadError: the model may not be loaded, or cannot be.
        """
        key = identity(kind, options, self.device)
        if key not in self._models:
            self.places.check(options)
            known = self._before.get(key)
            if known is None or _has_changed(known):
                known = LoadedModel(options, make(self.device))
            self._models[key] = known
        return cast(Model, self._models[key].model)

    def loaded(self) -> list[LoadedModel]:
        """The models with their options, in the order of loading."""
        return list(self._models.values())

    def forget_before(self) -> None:
        """Lets go of the models of the store before that are not used again."""
        self._before.clear()

    def __iter__(self) -> Iterator[DeviceModel]:
        return (loaded.model for loaded in self._models.values())


def _has_changed(known: LoadedModel) -> bool:
    """Whether a folder's files are others by now. A hub id is taken as unchanged."""
    return model_revision(locate(known.options), known.model.revision) != known.model.revision
