"""What the trainer's calls carry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from palmfolio.types.common import Failure, Weights


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
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class GrpoConfig:
    """Settings of group relative policy optimisation; None takes the server's default."""

    steps: int | None = None
    learning_rate: float | None = None
    lora_rank: int | None = None
    lora_alpha: float | None = None
    prompts_per_step: int | None = None
    completions_per_prompt: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    kl_coefficient: float | None = None


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """How to sample; None takes the server's default."""

    samples_per_prompt: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    """0 is greedy."""
    top_p: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """What determines a policy: the same spec is always the same policy."""

    base_model: str
    weights: Weights
    prompts: tuple[str, ...] = ()
    trait_versions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    initial_policy: str = ""
    grpo: GrpoConfig = field(default_factory=GrpoConfig)


@dataclass(frozen=True, slots=True)
class Policy:
    """An aligned model: a base model and, unless it is the base model itself, an adapter."""

    name: str
    spec: PolicySpec
    prompts_digest: str = ""
    state: PolicyState = PolicyState.UNSPECIFIED
    adapter: str = ""
    adapter_digest: str = ""
    create_time: datetime | None = None
    error: Failure | None = None
    is_base_model: bool = False


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """How far a training is."""

    stage: str = ""
    step: int = 0
    steps: int = 0
    reward_means: Mapping[str, float] = field(default_factory=dict)
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class TrainingEvent:
    """Something that happened in a training; numbers count from 1 within the operation."""

    number: int
    time: datetime | None = None
    progress: TrainingProgress = field(default_factory=TrainingProgress)
    message: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled response of a policy to the request's prompt number `prompt_index`."""

    policy: str
    prompt_index: int
    sample_index: int
    text: str
    tokens: int = 0
    finish_reason: FinishReason = FinishReason.UNSPECIFIED
