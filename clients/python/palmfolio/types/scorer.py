"""What the scorer's calls carry."""

from dataclasses import dataclass

from palmfolio.types.common import Failure


@dataclass(frozen=True, slots=True)
class Trait:
    """One dimension of preference, as the scorer serves it."""

    name: str
    kind: str = ""
    version: str = ""
    description: str = ""
    normalisation: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One response to score; `reference` is the expected answer, for traits that compare."""

    prompt: str
    response: str
    reference: str = ""


@dataclass(frozen=True, slots=True)
class SampleStatus:
    """Whether one sample was scored on every trait; `failure` is None when it was."""

    failure: Failure | None = None
    failed_traits: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True when every trait scored the sample."""
        return self.failure is None


@dataclass(frozen=True, slots=True)
class Rewards:
    """Rewards of N samples on d traits, rows in the order of the samples.

    A reward that could not be computed is NaN, and the sample's status says why; it is never zero.
    """

    traits: tuple[str, ...]
    """The d columns."""
    trait_versions: tuple[str, ...]
    raw: tuple[tuple[float, ...], ...]
    """N rows of d rewards as the traits computed them."""
    normalised: tuple[tuple[float, ...], ...]
    """N rows of d rewards in [0, 1]."""
    statuses: tuple[SampleStatus, ...]
    """N statuses."""
