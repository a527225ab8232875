"""Policies: what determines them, how they are trained, and what is sampled from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from palmfolio.types.kinds import KINDS
from palmfolio.types.prompts import Prompt
from palmfolio.types.services import Failure
from palmfolio.types.weights import Weights


class PolicyState(StrEnum):
    """The state of a policy."""

    UNSPECIFIED = "unspecified"
    TRAINING = "training"
    READY = "ready"
    FAILED = "failed"


class FinishReason(StrEnum):
    """Why a completion ended."""

    UNSPECIFIED = "unspecified"
    STOP = "stop"
    """The policy ended its answer."""
    LENGTH = "length"
    """`max_tokens` was reached."""


@dataclass(frozen=True, slots=True)
class GrpoConfig:
    """Settings of group relative policy optimisation; None takes the server's default.

    Example:
        >>> config = GrpoConfig(steps=200, learning_rate=5e-5, lora_rank=16)
    """

    steps: int | None = None
    """Optimisation steps, 1 to 100,000."""
    learning_rate: float | None = None
    """> 0."""
    lora_rank: int | None = None
    """LoRA rank on every linear layer, 1 to 256."""
    lora_alpha: float | None = None
    """LoRA alpha, > 0."""
    prompts_per_step: int | None = None
    """Different prompts in a step, >= 1."""
    completions_per_prompt: int | None = None
    """Completions that are sampled for each prompt (the group), >= 2."""
    max_completion_tokens: int | None = None
    """Tokens of a completion at most, >= 1."""
    temperature: float | None = None
    """Sampling temperature, > 0."""
    kl_coefficient: float | None = None
    """Weight of the KL term against the base model, >= 0."""


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """How to sample; None takes the server's default.

    Example:
        >>> greedy = SamplingConfig(temperature=0.0, max_tokens=128)
    """

    samples_per_prompt: int | None = None
    """Responses to each prompt, 1 to 1,024. Default 1."""
    max_tokens: int | None = None
    """Tokens of a response at most, 1 to 4,096. Default 64."""
    temperature: float | None = None
    """>= 0; 0 is greedy. Default 1."""
    top_p: float | None = None
    """Share of the probability mass to sample from, in (0, 1]. Default 1."""
    seed: int | None = None
    """Default 0."""


TrainingMethod = GrpoConfig
"""How a policy is trained: the settings of one method. There is one method today."""

METHODS: Mapping[str, type] = {"grpo": GrpoConfig}
"""The training methods by the names that the protocol uses."""


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """What determines a policy: the same spec is always the same policy.

    Example:
        >>> spec = PolicySpec(
        ...     base_model="smollm2-135m-instruct",
        ...     weights={"brevity": 2, "warmth": 1},
        ...     prompts=("How do I brew good coffee?",),
        ...     method=GrpoConfig(steps=20),
        ... )
    """

    base_model: str
    """The name of one of the trainer's base models."""
    weights: Weights
    """What to align to, by trait."""
    prompts: tuple[str | Prompt, ...] = ()
    """Prompts to train on, at least one; with a reference each where a trait in `weights` reads it
    (`Trait.fields`). A `Policy` holds their digest in place of them."""
    trait_versions: Mapping[str, str] = field(default_factory=dict)
    """The trainer fills in the versions that are left out from its scorer."""
    seed: int = 0
    """Seeds sampling and initialisation."""
    initial_policy: str | None = None
    """The policy whose adapter training starts from; None starts from the base model."""
    method: TrainingMethod | None = field(
        default=GrpoConfig(),
        metadata={KINDS: METHODS},
    )
    """How to train; None only in the spec of an unchanged base model."""


@dataclass(frozen=True, slots=True)
class Policy:
    """An aligned model: a base model and, unless it is the base model itself, an adapter."""

    name: str
    """`policies/{id}`."""
    spec: PolicySpec
    """What was asked for, without the prompts."""
    prompts_digest: str = ""
    """Digest of the training prompts."""
    state: PolicyState = PolicyState.UNSPECIFIED
    adapter: str | None = None
    """URI of the adapter's folder; None for a base model and until the policy is ready."""
    adapter_digest: str | None = None
    """SHA-256 of the adapter's manifest; None as long as `adapter` is."""
    create_time: datetime | None = None
    """When it was first asked for."""
    error: Failure | None = None
    """Why the last training failed; None when it did not."""
    is_base_model: bool = False
    """True for an unchanged base model."""


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """How far a training is."""

    stage: str = ""
    """`queued`, `starting`, `training`, `publishing`, `done`, `failed` or `cancelled`."""
    step: int = 0
    """Steps done."""
    steps: int | None = None
    """Steps in all; None until that is known."""
    reward_means: Mapping[str, float] = field(default_factory=dict)
    """Mean normalised reward per trait over the last step's completions that have one; a trait
    without any is left out."""
    attempt: int = 0
    """The attempt, from 1."""
    completions: int = 0
    """Completions that the attempt has sampled."""
    unscored_completions: int = 0
    """Of these, those without a reward on a trait that weighs: no update used them."""
    empty_completions: int = 0
    """Of these, those that say nothing."""


@dataclass(frozen=True, slots=True)
class TrainingEvent:
    """Something that happened in a training; numbers count from 1 within the operation."""

    number: int
    time: datetime | None = None
    progress: TrainingProgress = field(default_factory=TrainingProgress)
    message: str = ""
    """For people."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled response of a policy to the request's prompt number `prompt_index`."""

    policy: str
    """`policies/{id}`."""
    prompt_index: int
    """Position in the request's prompts, from 0."""
    sample_index: int
    """Which of the responses to the prompt, from 0."""
    text: str
    tokens: int = 0
    """Length of the response in tokens."""
    finish_reason: FinishReason = FinishReason.UNSPECIFIED
