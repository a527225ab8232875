"""The contract of what samples completions: a library on this machine, or a serving engine.

A backend knows base models by their revision and policies by their adapters' folders. It imports
its libraries in `load`, so that the service answers before they are loaded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from palmfolio_runtime.prompts import Prompt
from palmfolio_runtime.settings.sampling import SAMPLING_DEFAULTS
from palmfolio_trainer.models.base_models import BaseModel


@dataclass(frozen=True)
class SamplingSettings:
    """Settings of sampling, checked, defaults filled in; their ranges are the runtime's.

    Attributes:
        samples_per_prompt: completions of each prompt.
        max_tokens: length of a completion at most, its end token included.
        temperature: 0 is greedy decoding.
        top_p: only the smallest set of tokens with at least this probability is sampled from;
            1 means no limit.
        seed: of the random numbers.
    """

    samples_per_prompt: int = SAMPLING_DEFAULTS.samples_per_prompt
    max_tokens: int = SAMPLING_DEFAULTS.max_tokens
    temperature: float = SAMPLING_DEFAULTS.temperature
    top_p: float = SAMPLING_DEFAULTS.top_p
    seed: int = SAMPLING_DEFAULTS.seed


@dataclass(frozen=True)
class Completion:
    """One sampled answer.

    Attributes:
        policy: the name that it was asked for by.
        prompt_index: into the call's prompts.
        sample_index: from 0.
        text: without special tokens.
        tokens: how many were sampled, the end token included.
        finish_reason: `stop` for an end token, `length` for the limit.
    """

    policy: str
    prompt_index: int
    sample_index: int
    text: str
    tokens: int
    finish_reason: Literal["stop", "length"]


class SamplingCancelled(Exception):
    """The `cancelled` callback returned True."""


class PromptRefused(ValueError):
    """The base model's chat template does not take a prompt, such as one with a system message."""


class SamplingBackend(Protocol):
    """Samples from policies of one base model at a time. One thread uses it."""

    @property
    def devices(self) -> Sequence[str]:
        """The devices that completions are sampled on; empty until `load`."""

    def load(self) -> None:
        """Loads the libraries, which takes seconds. Calling it again does nothing."""

    def sample(
        self,
        base: BaseModel,
        adapters: Mapping[str, Path | None],
        prompts: Sequence[Prompt],
        settings: SamplingSettings,
        cancelled: Callable[[], bool],
    ) -> Iterator[list[Completion]]:
        """Batches of completions, in any order; each (policy, prompt, sample) comes once.

        The same arguments give the same completions on the same device.

        Args:
            base: the base model of all policies.
            adapters: the adapter's folder by policy; None for the base model itself.
            prompts: what to answer; their references are not used.
            settings: the settings of sampling.
            cancelled: asked often, before each token if the backend can.

        Raises:
            PromptRefused: the base model does not take one of the prompts.
            SamplingCancelled: `cancelled` returned True.
        """
