"""Traits, samples and rewards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from palmfolio.types.prompts import Prompt
from palmfolio.types.services import Failure


class CalibrationMethod(StrEnum):
    """How a normalisation is fitted.

    Example:
        >>> CalibrationMethod("quantile") is CalibrationMethod.QUANTILE
        True
    """

    UNSPECIFIED = "unspecified"
    MINMAX = "minmax"
    """Linear between the samples' extremes, or their tail quantiles."""
    QUANTILE = "quantile"
    """The samples' distribution function."""
    SIGMOID = "sigmoid"
    """The logistic function through the samples' quartiles."""


@dataclass(frozen=True, slots=True)
class Trait:
    """One dimension of preference, as the scorer serves it."""

    name: str
    kind: str = ""
    """For example `verifier` or `sequence_classifier`."""
    version: str = ""
    """Changes with everything that changes rewards; rewards of different versions never mix."""
    description: str = ""
    normalisation: str = ""
    """How raw rewards become rewards in [0, 1], in words."""
    failure: str = ""
    """Why the trait cannot be scored; empty when it can."""
    model: str = ""
    """As the trait's declaration names it; empty for a trait without one."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """What the version is made of in addition to the normalisation, for example
    `options.template`."""
    fields: tuple[str, ...] = ()
    """What it reads of a sample: of `prompt`, `reference` and `response`. A trait that reads the
    reference cannot score a sample without one. Empty while the trait cannot be scored."""
    empty_response: str = ""
    """What a response that says nothing gets: a raw reward such as `0`; `unscorable`, no reward; or
    `judged`, what the trait makes of it. Empty while the trait cannot be scored."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One response to score.

    Example:
        >>> sample = Sample("What is 2 + 2?", "It is 4.", reference="4")
    """

    prompt: str | Prompt
    response: str
    reference: str | None = None
    """The expected answer, for traits that compare with it; it takes precedence over the prompt's
    own. None leaves the prompt as it is."""


@dataclass(frozen=True, slots=True)
class SampleStatus:
    """Whether one sample was scored on every trait; `failure` is None when it was."""

    failure: Failure | None = None
    failed_traits: tuple[str, ...] = ()
    """The traits without a reward for this sample."""
    cut_tokens: Mapping[str, int] = field(default_factory=dict)
    """The traits whose model could not read the whole sample, and the tokens that were cut off."""

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
    """The versions of the d traits."""
    raw: tuple[tuple[float, ...], ...]
    """N rows of d rewards as the traits computed them."""
    normalised: tuple[tuple[float, ...], ...]
    """N rows of d rewards in [0, 1]."""
    statuses: tuple[SampleStatus, ...]
    """N statuses."""


@dataclass(frozen=True, slots=True)
class ScoredSample:
    """One sample of a `score_stream`, with its rewards on d traits.

    A reward that could not be computed is NaN, and `status` says why; it is never zero.
    """

    sample: Sample
    traits: tuple[str, ...]
    """The d traits."""
    trait_versions: tuple[str, ...]
    """Rewards of different versions do not compare: they change when a trait is calibrated, or the
    scorer restarted with other traits."""
    raw: tuple[float, ...]
    """d rewards as the traits computed them."""
    normalised: tuple[float, ...]
    """d rewards in [0, 1]."""
    status: SampleStatus


@dataclass(frozen=True, slots=True)
class Calibration:
    """A normalisation that was fitted to samples."""

    trait: Trait
    """With its new version and normalisation."""
    previous_version: str
    """The trait's version before the call."""
    scored_samples: int
    """Samples that had a raw reward: what the normalisation is fitted to."""
    raw_quantiles: tuple[float, ...]
    """Quantiles 0, 0.25, 0.5, 0.75 and 1 of their raw rewards."""
