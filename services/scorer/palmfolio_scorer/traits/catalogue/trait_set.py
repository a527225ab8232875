"""The traits that a scorer serves: declared in YAML, loaded, versioned."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from palmfolio_runtime.digest import digest
from palmfolio_runtime.logs import get_logger
from palmfolio_scorer.calibration.fitting import CalibrationStore
from palmfolio_scorer.calibration.normalisation import Normalisation
from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.traits.composite import Composite
from palmfolio_scorer.traits.kind import Trait
from palmfolio_scorer.traits.registry import TraitConfigError, make_trait

_log = get_logger(__name__)


class TraitSpec(BaseModel):
    """One entry of `traits:`. Keys other than these are the kind's options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    kind: str
    description: str = ""
    normalisation: Normalisation

    @property
    def options(self) -> dict[str, Any]:
        """The kind's options."""
        return dict(self.model_extra or {})


def read_traits(path: Path) -> list[TraitSpec]:
    """Reads a trait file: a YAML mapping with a list `traits`.

    Raises:
        TraitConfigError: the file cannot be read or an entry is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TraitConfigError(f"cannot read {path}: {error}") from error
    return parse_traits(text, str(path))


def parse_traits(text: str, path: str) -> list[TraitSpec]:
    """Reads the text of a trait file; `path` is what errors call it.

    Raises:
        TraitConfigError: the text is no YAML or an entry is wrong.
    """
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TraitConfigError(f"cannot read {path}: {error}") from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get("traits"), list):
        raise TraitConfigError(f"{path} must be a mapping with a list `traits`")
    specs = []
    for i, entry in enumerate(loaded["traits"]):
        try:
            specs.append(TraitSpec.model_validate(entry))
        except ValidationError as error:
            issue = error.errors()[0]
            where = ".".join(["", *(str(part) for part in issue["loc"])])
            raise TraitConfigError(f"{path}: traits[{i}]{where}: {issue['msg']}") from error
    return specs


@dataclass
class ServedTrait:
    """A declared trait and what became of it."""

    spec: TraitSpec
    trait: Trait[Any]
    version: str = ""
    """16 hexadecimal digits; empty until loaded."""
    raw_identity: str = ""
    """Digest of what determines the raw rewards; empty until loaded."""
    failure: str = "is being loaded"
    """Why the trait cannot be scored; empty when it can."""
    fitted: Normalisation | None = None
    """What `Calibrate` has fitted; goes before the trait file's."""
    parts: "tuple[ServedTrait, ...]" = ()
    """What a composite is made of, in its order."""

    @property
    def name(self) -> str:
        """The name in the trait file."""
        return self.spec.name

    @property
    def normalisation(self) -> Normalisation:
        """From raw rewards to [0, 1]."""
        return self.fitted or self.spec.normalisation

    def load(self, models: ModelStore, calibrations: CalibrationStore | None = None) -> None:
        """Loads the trait and fixes its version; a failure is kept, not raised.

        A composite's parts are loaded before.
        """
        try:
            for part in self.parts:
                if part.failure:
                    raise TraitLoadError(f"its part {part.name}: {part.failure}")
            self.trait.load(models)
            self.settle(calibrations)
            self.failure = ""
        except (Exception, SystemExit) as error:
            self.failure = str(error) or type(error).__name__
            _log.error("trait failed to load", trait=self.name, reason=self.failure)

    def settle(self, calibrations: CalibrationStore | None) -> None:
        """Takes the normalisation that is stored for the raw rewards as they are, and fixes the
        version. After loading, its parts before itself.
        """
        self.raw_identity = self._raw_identity()
        self.fitted = calibrations.find(self.name, self.raw_identity) if calibrations else None
        self.version = self.version_with(self.normalisation)

    def version_with(self, normalisation: Normalisation) -> str:
        """The version the trait has under a normalisation. After loading."""
        return digest({"raw": self.raw_identity, "normalisation": normalisation.identity()}, 16)

    def provenance(self) -> dict[str, Any]:
        """What the version is made of beside the normalisation, as JSON. After loading."""
        parts = {part.name: part.version for part in self.parts}
        return {"trait": self.trait.identity(), "parts": parts}

    def _raw_identity(self) -> str:
        return digest(self.provenance(), 16)


class TraitSet:
    """The traits of one scorer, by name, in the order of the trait file."""

    def __init__(self, specs: Sequence[TraitSpec]) -> None:
        """
        Raises:
            TraitConfigError: no traits, two of one name, or one that is declared wrongly.
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
        self._order = _parts_first(self._served)
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
        for name in self._order:
            served = self._served[name]
            served.load(models, calibrations)

    def recalibrate(self, calibrations: CalibrationStore) -> None:
        """Gives every loaded trait what is stored for it by now: versions follow, and those of the
        composites that are made of it.
        """
        for name in self._order:
            served = self._served[name]
            if not served.failure:
                served.settle(calibrations)

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
        TraitConfigError: a part is not declared, or traits are made of one another.
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
