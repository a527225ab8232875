"""The traits of one scorer, loaded and versioned together."""

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from palmfolio_scorer.calibration.store import CalibrationStore
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.traits.catalogue.served_trait import ServedTrait
from palmfolio_scorer.traits.catalogue.spec import TraitSpec
from palmfolio_scorer.traits.composite import Composite
from palmfolio_scorer.traits.kind import TraitConfigError
from palmfolio_scorer.traits.registry import make_trait


class TraitSet:
    """The traits of one scorer, by name, in the order of the trait file."""

    def __init__(self, specs: Sequence[TraitSpec]) -> None:
        """
        Raises:
            TraitConfigError: there are no traits, two have the same name, or one is declared
                wrongly.
        """
        if not specs:
            raise TraitConfigError("traits: at least one trait is required")
        self._served: dict[str, ServedTrait] = {}
        for i, spec in enumerate(specs):
            if spec.name in self._served:
                raise TraitConfigError(f"traits[{i}].name: {spec.name} is declared twice")
            try:
                self._served[spec.name] = ServedTrait(spec, make_trait(spec.kind, spec.options))
            except TraitConfigError as error:
                raise TraitConfigError(f"traits[{i}] ({spec.name}): {error}") from error
        self._load_order = _parts_first(self._served)
        for served in self._served.values():
            served.parts = tuple(self._served[name] for name in _part_names(served))

    def __iter__(self) -> Iterator[ServedTrait]:
        return iter(self._served.values())

    def __len__(self) -> int:
        return len(self._served)

    def get(self, name: str) -> ServedTrait | None:
        """The trait of that name (without `traits/`), or None."""
        return self._served.get(name)

    def names(self) -> list[str]:
        """Names in the order of the trait file."""
        return list(self._served)

    def load(self, models: ModelStore, calibrations: CalibrationStore | None = None) -> None:
        """Loads every trait, one after another, parts before their composites; blocking."""
        for name in self._load_order:
            self._served[name].load(models, calibrations)

    def recalibrate(self, calibrations: CalibrationStore) -> None:
        """Gives every loaded trait the normalisation that is stored for it now.

        Their versions change with it, and so do the versions of composites that contain them.
        """
        for name in self._load_order:
            served = self._served[name]
            if not served.failure:
                served.apply_calibration(calibrations)

    def failures(self) -> list[str]:
        """Why traits cannot be scored, one line each."""
        return [
            f"trait {served.name}: {served.failure}"
            for served in self._served.values()
            if served.failure
        ]


def _part_names(served: ServedTrait) -> tuple[str, ...]:
    return served.trait.parts if isinstance(served.trait, Composite) else ()


def _parts_first(traits: Mapping[str, ServedTrait]) -> list[str]:
    """Names, parts before their composites.

    Raises:
        TraitConfigError: a part is not declared, or composites contain one another.
    """
    graph = {name: _part_names(served) for name, served in traits.items()}
    for name, parts in graph.items():
        if unknown := [part for part in parts if part not in graph]:
            raise TraitConfigError(f"{name}: of: {', '.join(unknown)} is not declared")
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise TraitConfigError(
            f"traits are made of one another: {' -> '.join(error.args[1])}"
        ) from error
