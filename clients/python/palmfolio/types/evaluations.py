"""Stored rewards: what imports send and listings return."""

from dataclasses import dataclass

from palmfolio.types.prompts import Prompt
from palmfolio.types.trainer import SamplingConfig


@dataclass(frozen=True, slots=True)
class ImportedEvaluation:
    """The rewards of one response of a policy, measured elsewhere.

    Example:
        >>> row = ImportedEvaluation("policies/kind", (0.9, 0.2), prompt="Say hello.")
        >>> means = ImportedEvaluation("policies/brief", (0.4, 0.8))  # no prompts are known
    """

    policy: str
    rewards: tuple[float, ...]
    """One normalised reward in [0, 1] per trait, in the order of the import's traits."""
    prompt: str | Prompt | None = None
    """None in the one row of a policy of which only the means are known."""
    sample: int = 0
    """Tells several responses to a prompt apart, 0 to 1,023."""


@dataclass(frozen=True, slots=True)
class EvaluationImport:
    """What an import stored."""

    rows: int
    policies: int
    prompt_set: str
    """The prompts among the rows, for `StoredEvaluations.prompt_set`."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The stored reward of one response on one trait."""

    policy: str
    prompt: Prompt | None
    """None in the one row of a policy of which only the means are known."""
    sample: int
    trait: str
    trait_version: str
    raw: float
    """As the trait computed it; NaN where the trait failed."""
    normalised: float
    """In [0, 1]; NaN where the trait failed."""
    failure: str = ""
    """Why the trait failed; empty when it did not."""
    source: str | None = None
    """Where it was imported from; None when a build made it."""
    sampling: SamplingConfig | None = None
    """How the response was sampled; None for an imported one."""
    response: str = ""
    """Empty for an imported one."""
