"""Portfolios: their specs, their candidates, and the events of a build."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from palmfolio.types.certificates import (
    Baselines,
    Certificate,
    ConfidenceBound,
    Optimality,
    PlannedGuarantee,
    TrainableBound,
)
from palmfolio.types.kinds import KINDS
from palmfolio.types.prompts import Prompt
from palmfolio.types.services import Failure
from palmfolio.types.strategies import STRATEGIES, AdaptiveStrategy, Strategy
from palmfolio.types.trainer import GrpoConfig, SamplingConfig
from palmfolio.types.weights import Weights


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
    """The name of one of the trainer's base models."""
    traits: tuple[str, ...]
    """Names of traits, 2 to 20."""
    training_prompt_set: str
    """`promptSets/{id}` to train on."""
    evaluation_prompt_set: str
    """`promptSets/{id}` to evaluate on."""
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
    """Whether it is a member of the portfolio."""
    is_base_model: bool = False
    """True for an unchanged base model."""


@dataclass(frozen=True, slots=True)
class SampleAnswer:
    """One response of a policy to an evaluation prompt, with its normalised rewards."""

    policy: str
    prompt: Prompt
    response: str
    rewards: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FailedTraining:
    """Weights that have no policy of their own, because their training failed."""

    weights: Weights
    error: Failure | None


@dataclass(frozen=True, slots=True)
class ExcludedPolicy:
    """A policy that lacks too many rewards to be compared with the others."""

    policy: str
    complete_prompts: int = 0
    """Prompts for which it has every reward on every trait."""
    reason: str = ""
    """Why, for people."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the values of candidates rest on, and what was left out for want of rewards.

    `docs/missing-rewards.md` has the rule.
    """

    prompts: int = 0
    """Different prompts that were asked."""
    compared_prompts: int = 0
    """Of these, those for which every candidate has every reward: values are means over them."""
    responses: int = 0
    """Of the candidates, to all prompts."""
    unscored_responses: int = 0
    """Of these, those without a reward on at least one trait."""
    unscored_by_trait: Mapping[str, int] = field(default_factory=dict)
    """Responses without a reward, by trait; a trait that has every reward is left out."""
    excluded_policies: tuple[ExcludedPolicy, ...] = ()
    """Policies that were measured and are not candidates."""


@dataclass(frozen=True, slots=True)
class DiversityFigures:
    """How different the answers of one portfolio's members to the same prompts are."""

    distinct: tuple[float, ...]
    """distinct-n for n = 1 to 4: the share of different n-grams of words among all, in (0, 1].
    More is more diverse. NaN where no answer has n words."""
    self_bleu: float | None = None
    """BLEU of each answer with the other members' as references, in [0, 1]; less is more diverse.
    None for a single member."""
    embedding_distance: float | None = None
    """1 - cosine of two answers' embeddings, in [0, 2]; more is more diverse. None for a single
    member, and where it was not measured."""
    policies: tuple[str, ...] = ()
    """`policies/{id}` of the members; empty for a mean over several portfolios."""


@dataclass(frozen=True, slots=True)
class OutputDiversity:
    """The output diversity of a portfolio, next to that of others of its size.

    All are chosen from the same candidates. Figures of different sizes cannot be compared.
    docs/algorithms.md, section 9, has the definitions.
    """

    portfolio: DiversityFigures
    random: DiversityFigures
    """The mean over `random_draws` portfolios drawn with a fixed seed."""
    uniform: DiversityFigures | None = None
    """Of the policies trained nearest to evenly spread weights. None where fewer candidates than
    members were trained at weights."""
    random_draws: int = 0
    groups: int = 0
    """Pairs of a prompt and a sample that every policy answered: all figures are means over
    these."""
    embedding_trait: str | None = None
    """The trait whose model gave the embeddings; None when no embedding distance was measured."""
    embedding_trait_version: str | None = None
    embedding_problem: str | None = None
    """Why no embedding distance was measured; None when one was."""


@dataclass(frozen=True, slots=True)
class Portfolio:
    """A small set of policies in which every user finds a near-optimal one."""

    name: str
    """`portfolios/{id}`."""
    spec: PortfolioSpec
    state: PortfolioState = PortfolioState.UNSPECIFIED
    candidates: tuple[Candidate, ...] = ()
    """Every policy that was measured (the first 5,000), members first; empty until ready."""
    certificate: Certificate | None = None
    """None until ready, as is `baselines`."""
    baselines: Baselines | None = None
    sample_answers: tuple[SampleAnswer, ...] = ()
    """A few evaluated responses of each member, to the same prompts; empty in listings."""
    create_time: datetime | None = None
    """When it was first asked for."""
    error: Failure | None = None
    """Why the last build failed; None when it did not."""
    operation: str | None = None
    """`operations/{id}` of the last build; None when nothing was built."""
    failed_trainings: tuple[FailedTraining, ...] = ()
    """Trainings that failed while the build went on without them."""
    trait_versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the traits that the values are for."""
    optimality: Optimality | None = None
    trainable: TrainableBound | None = None
    """None without trainings, and where a training has a KL penalty: its result then bounds
    nothing."""
    confidence: ConfidenceBound | None = None
    """None when there are too few prompts or too many candidates for it."""
    source: str | None = None
    """Where imported evaluations came from; None when builds made them."""
    output_diversity: OutputDiversity | None = None
    """None where the members' answers are not stored, where an earlier version stored the
    portfolio, with more than 64 members, and for a portfolio that is not stored."""
    coverage: Coverage | None = None
    """What the values rest on; None where an earlier version stored the portfolio."""

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
    """For people."""
    policy: str | None = None
    """`policies/{id}` that it is about; None when it is about the whole build."""
    done: int = 0
    """Steps, responses or samples that are done, of `total`."""
    total: int | None = None
    """None for an event without a count."""
    candidates_done: int = 0
    """Policies that are trained and evaluated, of `candidates_total`."""
    candidates_total: int = 0
    reward_means: Mapping[str, float] = field(default_factory=dict)
    """Mean normalised reward per trait of what was just trained or scored."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The trainings of a build that was not started, and its guarantee."""

    trainings: int
    """Trainings that the strategy wants; for `adaptive`, at most that many."""
    trainings_allowed: int = 0
    """A build fails at once when it wants more."""
    trainings_reused: int = 0
    """Trainings that an earlier build made with the same settings."""
    weights: tuple[Weights, ...] = ()
    """Weights to train at, in order: the first 1,000, or what `adaptive` begins with."""
    responses: int = 0
    """Responses to sample and score, at most."""
    guarantee: PlannedGuarantee | None = None
    """None when nothing can be promised beforehand."""


@dataclass(frozen=True, slots=True)
class Route:
    """The member of a portfolio that serves some weights best."""

    policy: str
    """`policies/{id}`."""
    weights: Weights
    """The weights as used: they sum to 1."""
    value: Mapping[str, float]
    """The policy's value per trait, in [0, 1]."""
    utility: float
    """The weighted value: the sum over traits of weight times value, in [0, 1]."""
    gap: float
    """How much more the best candidate would give these weights, >= 0."""
    adapter: str | None = None
    """URI of the adapter; None for a base model."""
