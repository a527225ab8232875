"""Selecting and certifying from what was measured before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from palmfolio.types.certificates import Baselines, Certificate, ConfidenceBound
from palmfolio.types.portfolios import Coverage, Portfolio
from palmfolio.types.trainer import SamplingConfig
from palmfolio.types.weights import Weights


class SelectionMethod(StrEnum):
    """How the members of a portfolio are chosen.

    Example:
        >>> SelectionMethod("greedy") is SelectionMethod.GREEDY
        True
    """

    UNSPECIFIED = "unspecified"
    MINIMUM = "minimum"
    """The smallest portfolio, proven so where time allows."""
    GREEDY = "greedy"
    """Greedy cover, certified: at once, and often with a member or two more."""


@dataclass(frozen=True, slots=True)
class StoredEvaluations:
    """Candidates by their stored evaluations: means over a prompt set and all samples.

    Example:
        >>> stored = StoredEvaluations("promptSets/1f0c", ("kind", "brief"), source="study")
    """

    prompt_set: str
    """`promptSets/{id}` of the prompts that count."""
    traits: tuple[str, ...]
    """Names of traits, 1 to 20."""
    trait_versions: Mapping[str, str] = field(default_factory=dict)
    """A trait that is left out must have only one stored version."""
    source: str | None = None
    """The source of imported evaluations; None means those that builds made."""
    sampling: SamplingConfig | None = None
    """How the responses were sampled, when `source` is None."""
    policies: tuple[str, ...] = ()
    """Policies to choose from; empty means every policy that has all evaluations."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A portfolio selected from what was measured before."""

    portfolio: Portfolio
    """Its `name` is empty when it was not stored."""
    incomplete_policies: tuple[str, ...] = ()
    """Policies that lack evaluations, and so were no candidates."""


@dataclass(frozen=True, slots=True)
class Certification:
    """Members certified against candidates, at a chosen epsilon and delta."""

    certificate: Certificate
    confidence: ConfidenceBound | None = None
    """None when there are too few prompts or too many candidates for it."""
    baselines: Baselines | None = None
    coverage: Coverage | None = None
    """What the candidates' values rest on."""


@dataclass(frozen=True, slots=True)
class TradeoffPoint:
    """The best portfolio of one size, by its additive gap at epsilon 0."""

    size: int
    """Members at most."""
    gap: float
    """The additive gap at epsilon 0, exact for `policies`."""
    gap_lower_bound: float
    """No portfolio of this size has a smaller gap."""
    optimal: bool
    """Whether `gap` is proven to be the smallest."""
    policies: tuple[str, ...]
    """`policies/{id}` of the members."""
    worst_weights: Weights
    """The user who is served worst; sums to 1."""
    multiplicative_gap: float | None = None
    """The multiplicative gap of the same members at delta 0; None where that has no meaning."""
