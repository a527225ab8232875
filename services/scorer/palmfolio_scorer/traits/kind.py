"""The interface of a trait kind.

A trait gives a raw reward to each sample, a function of (prompt, response, reference) alone: of no
other sample, no clock and no randomness. There are two ways to be one:

- `TextTrait`: a plain function of the texts; override `reward`.
- `ModelTrait`: some inputs to a neural model, and a reward from its outputs; the engine batches,
  shares and caches the model's work. Override `inputs` and `reward_from`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from palmfolio_scorer.models.model import DeviceModel, ModelInput, Output
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample, SampleError, SampleFailure

FloatArray = npt.NDArray[np.float64]


class TraitOptions(BaseModel):
    """Base of every kind's options; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class RawRewards:
    """Rewards as a trait computes them."""

    values: FloatArray
    """Shape (N,); NaN exactly where `failures` has an entry."""
    failures: Mapping[int, SampleFailure] = field(default_factory=dict)
    """By position in the batch."""

    @classmethod
    def collect(cls, results: Sequence[float | SampleFailure]) -> "RawRewards":
        """From one reward or failure per sample; a reward that is not finite is a failure."""
        values = np.full(len(results), np.nan)
        failures: dict[int, SampleFailure] = {}
        for i, result in enumerate(results):
            if isinstance(result, SampleFailure):
                failures[i] = result
            elif np.isfinite(result):
                values[i] = result
            else:
                failures[i] = SampleFailure("INTERNAL", f"the reward is {result}, not a number")
        return cls(values, failures)


Options = TypeVar("Options", bound=BaseModel)


class Trait(ABC, Generic[Options]):
    """One kind of trait with its options."""

    kind: ClassVar[str]
    """What `kind:` in the trait file says."""
    code_version: ClassVar[int] = 1
    """Raise it whenever the same options would give another reward."""
    options_type: ClassVar[type[BaseModel]]

    def __init__(self, options: Options) -> None:
        self.options = options

    def load(self, models: ModelStore) -> None:
        """Reads what scoring needs. Called once, on a thread of its own.

        Raises:
            TraitLoadError: the trait cannot be scored, and why.
        """

    def identity(self) -> dict[str, Any]:
        """What determines the raw rewards, as JSON: part of the trait's version. After `load`."""
        return {
            "kind": self.kind,
            "code_version": self.code_version,
            "options": self.options.model_dump(mode="json"),
        }


class TextTrait(Trait[Options]):
    """A trait that needs no neural model."""

    @abstractmethod
    def reward(self, sample: Sample) -> float:
        """One raw reward.

        Raises:
            SampleError: this sample cannot be scored. Any other exception counts as one.
        """

    def raw_rewards(self, samples: Sequence[Sample]) -> RawRewards:
        """Raw rewards; a sample that raises fails alone."""
        return RawRewards.collect([self._guarded(sample) for sample in samples])

    def _guarded(self, sample: Sample) -> float | SampleFailure:
        try:
            return float(self.reward(sample))
        except SampleError as error:
            return error.failure
        except (Exception, SystemExit) as error:  # a library's `sys.exit` would end the scorer
            return SampleFailure("INTERNAL", f"{type(error).__name__}: {error}")


class ModelTrait(Trait[Options]):
    """A trait computed from a neural model's outputs."""

    model: DeviceModel
    """Set by `load`."""

    @abstractmethod
    def inputs(self, sample: Sample) -> Sequence[ModelInput]:
        """What the model must compute for a sample.

        Raises:
            SampleError: this sample cannot be scored.
        """

    @abstractmethod
    def reward_from(self, sample: Sample, outputs: Sequence[Output]) -> float:
        """The raw reward, from the outputs for `inputs(sample)`, in that order.

        Raises:
            SampleError: this sample cannot be scored.
        """

    def identity(self) -> dict[str, Any]:
        """A model is told by its files, not by where they lie."""
        options = self.options.model_dump(mode="json")
        for place in ("model", "revision"):
            options.pop(place, None)
        return {
            "kind": self.kind,
            "code_version": self.code_version,
            "options": options | {"dtype": self.model.dtype},
            "model_revision": self.model.revision,
        }
