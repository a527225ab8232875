"""What the selector's calls carry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from palmfolio.types.common import Failure, Weights
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


class SelectionMethod(StrEnum):
    """How the members of a portfolio are chosen."""

    UNSPECIFIED = "unspecified"
    MINIMUM = "minimum"
    """The smallest portfolio, proven so where time allows."""
    GREEDY = "greedy"
    """Greedy cover, certified: at once, and often a member or two more."""


@dataclass(frozen=True, slots=True)
class ExplicitTraining:
    """One training of an `ExplicitStrategy`."""

    weights: Weights
    initial_training: int = 0
    """Position (from 1) of the earlier training to start from; 0 starts from the base model."""
    grpo: GrpoConfig | None = None
    """Overrides of the spec's settings."""


@dataclass(frozen=True, slots=True)
class ExplicitStrategy:
    """Train at these weights and no others."""

    trainings: tuple[ExplicitTraining, ...]


@dataclass(frozen=True, slots=True)
class GridStrategy:
    """Train at every point of PALM's geometric grid for the spec's epsilon and delta."""


@dataclass(frozen=True, slots=True)
class UniformStrategy:
    """Train on a uniform lattice; resolution 0 is the fewest that guarantee the spec's delta."""

    resolution: int = 0


@dataclass(frozen=True, slots=True)
class AdaptiveStrategy:
    """Train where most may be gained, one after the other or `parallel` at a time (0 means 1)."""

    parallel: int = 0


@dataclass(frozen=True, slots=True)
class Strategy:
    """How the weights to train at are chosen: one field is set, or none for adaptive."""

    explicit: ExplicitStrategy | None = None
    grid: GridStrategy | None = None
    uniform: UniformStrategy | None = None
    adaptive: AdaptiveStrategy | None = None


@dataclass(frozen=True, slots=True)
class PortfolioSpec:
    """What determines a portfolio."""

    base_model: str
    traits: tuple[str, ...]
    training_prompt_set: str
    evaluation_prompt_set: str
    strategy: Strategy = field(default_factory=Strategy)
    grpo: GrpoConfig = field(default_factory=GrpoConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    epsilon: float = 0.0
    delta: float = 0.0
    max_size: int = 0
    max_trainings: int = 0
    seed: int = 0
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
    adapter: str = ""
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
    source: str = ""
    """Where imported evaluations came from; empty when builds made them."""

    @property
    def members(self) -> tuple[Candidate, ...]:
        """The candidates that are in the portfolio."""
        return tuple(candidate for candidate in self.candidates if candidate.selected)


@dataclass(frozen=True, slots=True)
class ImportedEvaluation:
    """The rewards of one response of a policy, measured elsewhere."""

    policy: str
    rewards: tuple[float, ...]
    """One normalised reward in [0, 1] per trait, in the order of the import's traits."""
    prompt: str = ""
    """Empty in the one row of a policy whose means alone are known."""
    sample: int = 0
    """Tells apart several responses to a prompt, 0 to 1,023."""


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
    prompt: str
    sample: int
    trait: str
    trait_version: str
    raw: float
    """As the trait computed it; NaN where the trait failed."""
    normalised: float
    """In [0, 1]; NaN where the trait failed."""
    failure: str = ""
    source: str = ""
    """Where it was imported from; empty when a build made it."""
    sampling: SamplingConfig | None = None
    """How the response was sampled; None for an imported one."""
    response: str = ""


@dataclass(frozen=True, slots=True)
class StoredEvaluations:
    """Candidates by their stored evaluations: means over a prompt set and all samples."""

    prompt_set: str
    traits: tuple[str, ...]
    trait_versions: Mapping[str, str] = field(default_factory=dict)
    """A trait left out must have one stored version only."""
    source: str = ""
    """The source of imported evaluations; empty means those that builds made."""
    sampling: SamplingConfig | None = None
    """How the responses were sampled, when `source` is empty."""
    policies: tuple[str, ...] = ()
    """What to choose from; none means every policy that has all evaluations."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A portfolio selected from what was measured before."""

    portfolio: Portfolio
    """Its `name` is empty when it was not stored."""
    incomplete_policies: tuple[str, ...] = ()
    """Policies that lack evaluations, and so were no candidates."""


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
class Certification:
    """Members certified against candidates, at a chosen epsilon and delta."""

    certificate: Certificate
    confidence: ConfidenceBound | None = None
    baselines: Baselines | None = None


@dataclass(frozen=True, slots=True)
class TradeoffPoint:
    """The best portfolio of one size, by its additive gap at epsilon 0."""

    size: int
    gap: float
    gap_lower_bound: float
    optimal: bool
    policies: tuple[str, ...]
    worst_weights: Weights


@dataclass(frozen=True, slots=True)
class Route:
    """The member of a portfolio that serves some weights best."""

    policy: str
    weights: Weights
    value: Mapping[str, float]
    utility: float
    gap: float
    adapter: str = ""
