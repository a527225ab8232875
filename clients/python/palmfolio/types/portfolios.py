"""Portfolios: what determines them, what is certified about them, and how a build goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from palmfolio.types.common import KINDS, Failure, Weights
from palmfolio.types.strategies import STRATEGIES, AdaptiveStrategy, Strategy
from palmfolio.types.trainer import GrpoConfig, SamplingConfig


class PortfolioState(StrEnum):
    """The state of a portfolio; only a ready one routes."""

    UNSPECIFIED = "unspecified"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class BuildStage(StrEnum):
    """What a build does."""

    UNSPECIFIED = "unspecified"
    WAITING = "waiting"
    TRAINING = "training"
    SAMPLING = "sampling"
    SCORING = "scoring"
    SELECTING = "selecting"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class PortfolioSpec:
    """What determines a portfolio.

    Example:
        >>> spec = PortfolioSpec(
        ...     base_model="smollm2-135m-instruct",
        ...     traits=("relevance", "brevity", "warmth"),
        ...     training_prompt_set="promptSets/5b1e",
        ...     evaluation_prompt_set="promptSets/90aa",
        ...     strategy=AdaptiveStrategy(parallel=2),
        ...     delta=0.05,
        ...     max_trainings=12,
        ... )
    """

    base_model: str
    traits: tuple[str, ...]
    training_prompt_set: str
    evaluation_prompt_set: str
    strategy: Strategy | None = field(
        default=AdaptiveStrategy(),
        metadata={KINDS: STRATEGIES},
    )
    """How the weights to train at are chosen; None only in the spec of a portfolio that was
    selected from stored evaluations, for which nothing was trained."""
    grpo: GrpoConfig = field(default_factory=GrpoConfig)
    """Settings of every training."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How the responses that are evaluated are sampled."""
    epsilon: float = 0.0
    """Multiplicative gap that is allowed against all candidates, in [0, 1)."""
    delta: float = 0.0
    """Additive gap that is allowed against all candidates, in [0, 1]."""
    max_size: int | None = None
    """Members at most; None allows as many as needed. A size with epsilon and delta 0 asks for the
    portfolio of that size with the smallest gap."""
    max_trainings: int | None = None
    """Trainings at most; None takes the server's limit."""
    seed: int = 0
    """Seeds every training."""
    alpha: float = 0.0
    """Share of the best trainable value that a training may miss at its own weights, in [0, 1)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy with its measured value per trait."""

    policy: str
    weights: Weights | None
    """The weights it was trained at; None for a base model."""
    value: Mapping[str, float]
    """Mean normalised reward per trait over the evaluation prompts, in [0, 1]."""
    adapter: str | None = None
    """URI of the adapter; None for a base model."""
    selected: bool = False
    is_base_model: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """How far a portfolio is from the best candidate, exact over every user."""

    additive: float
    multiplicative: float
    worst_weights: Weights
    epsilon: float = 0.0
    delta: float = 0.0
    gap: float = 0.0
    """The additive gap at epsilon 0."""
    gap_weights: Weights = field(default_factory=dict)
    corner_weights: int = 0


@dataclass(frozen=True, slots=True)
class Baselines:
    """What a portfolio is compared with: additive gaps at epsilon 0 over the same candidates."""

    base_model: float
    best_single_policy: float
    best_single_policy_name: str = ""


@dataclass(frozen=True, slots=True)
class SampleAnswer:
    """One response of a policy to an evaluation prompt, with its normalised rewards."""

    policy: str
    prompt: str
    response: str
    rewards: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FailedTraining:
    """Weights that have no policy of their own, because their training failed."""

    weights: Weights
    error: Failure | None


@dataclass(frozen=True, slots=True)
class Optimality:
    """How good a portfolio is among all portfolios of the same candidates."""

    size_lower_bound: int
    gap_lower_bound: float = 0.0
    optimal: bool = False


@dataclass(frozen=True, slots=True)
class Refutation:
    """A training that another policy outdid at the training's own weights."""

    policy: str
    better_policy: str
    weights: Weights
    shortfall: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainableBound:
    """How far a portfolio is from everything that could be trained, if `alpha` holds."""

    gap: float
    worst_weights: Weights
    alpha: float = 0.0
    trainings: int = 0
    target_met: bool = False
    refutations: tuple[Refutation, ...] = ()
    """None is no proof that `alpha` holds."""
    candidates_gap: float = 0.0
    """As `gap`, for all candidates in place of the members."""


@dataclass(frozen=True, slots=True)
class ConfidenceBound:
    """An upper bound on the true gap against all candidates, as prompts are finitely many."""

    level: float
    gap: float
    worst_weights: Weights
    method: str = ""
    prompts: int = 0


@dataclass(frozen=True, slots=True)
class Portfolio:
    """A small set of policies in which every user finds a near-optimal one."""

    name: str
    spec: PortfolioSpec
    state: PortfolioState = PortfolioState.UNSPECIFIED
    candidates: tuple[Candidate, ...] = ()
    certificate: Certificate | None = None
    baselines: Baselines | None = None
    sample_answers: tuple[SampleAnswer, ...] = ()
    create_time: datetime | None = None
    error: Failure | None = None
    operation: str = ""
    failed_trainings: tuple[FailedTraining, ...] = ()
    trait_versions: Mapping[str, str] = field(default_factory=dict)
    optimality: Optimality | None = None
    trainable: TrainableBound | None = None
    confidence: ConfidenceBound | None = None
    source: str | None = None
    """Where imported evaluations came from; None when builds made them."""

    @property
    def members(self) -> tuple[Candidate, ...]:
        """The candidates that are in the portfolio."""
        return tuple(candidate for candidate in self.candidates if candidate.selected)


@dataclass(frozen=True, slots=True)
class BuildEvent:
    """Something that happened in a build; numbers count from 1 within the operation."""

    number: int
    time: datetime | None = None
    stage: BuildStage = BuildStage.UNSPECIFIED
    message: str = ""
    policy: str = ""
    done: int = 0
    total: int = 0
    candidates_done: int = 0
    candidates_total: int = 0
    reward_means: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlannedGuarantee:
    """What holds before anything is trained, if every training reaches its spec's alpha."""

    epsilon: float
    delta: float
    prompt_error: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build would train, and what it could guarantee."""

    trainings: int
    trainings_allowed: int = 0
    trainings_reused: int = 0
    weights: tuple[Weights, ...] = ()
    """Weights to train at, in order: the first 1,000, or what `adaptive` begins with."""
    responses: int = 0
    guarantee: PlannedGuarantee | None = None
    """None when nothing can be promised beforehand."""


@dataclass(frozen=True, slots=True)
class Route:
    """The member of a portfolio that serves some weights best."""

    policy: str
    weights: Weights
    value: Mapping[str, float]
    utility: float
    gap: float
    """How much more the best candidate would give these weights, >= 0."""
    adapter: str | None = None
    """URI of the adapter; None for a base model."""
