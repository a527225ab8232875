"""The interface of a trait kind; plugins implement it too (examples/trait_plugin).

A trait gives a raw reward to each sample. The reward is a function of the sample's fields
(prompt, response, reference) only: not of other samples, the clock or chance. A kind is a subclass
of one of two classes:

- `TextTrait`: a plain function of the texts; override `reward`.
- `ModelTrait`: some inputs to a neural model, and a reward from its outputs; the engine batches,
  shares and caches the model's work. Override `load`, `inputs` and `reward_from`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from palmfolio_runtime.identity import left_out
from palmfolio_scorer.models.model import DeviceModel, ModelInput, Output
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import (
    EmptyResponse,
    Sample,
    SampleError,
    SampleFailure,
    TextField,
)

FloatArray = npt.NDArray[np.float64]


class TraitConfigError(ValueError):
    """A trait is declared wrongly; the message says what is allowed."""


class TraitOptions(BaseModel):
    """Base of a kind's options: a pydantic model that takes the keys of the trait file.

    Unknown keys are errors. `name`, `kind`, `description` and `normalisation` are not options.

    Options are part of the trait's version. So an option that is added later needs the mark
    `Neutral(value)` of `palmfolio_runtime.identity`, where `value` behaves as if the option did
    not exist: at that value it is left out, and existing versions stay valid.

    Example:
        >>> class KeywordsOptions(TraitOptions):
        ...     words: tuple[str, ...]
        >>> KeywordsOptions(words=["flour", "yeast"]).words
        ('flour', 'yeast')
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class RawRewards:
    """One trait's raw rewards of N samples, before normalisation."""

    values: FloatArray
    """Shape (N,); NaN exactly where `failures` has an entry."""
    failures: Mapping[int, SampleFailure] = field(default_factory=dict)
    """By position in the batch."""
    cut: Mapping[int, int] = field(default_factory=dict)
    """Tokens that a model's limit cut off, by position; only where there are any."""

    @classmethod
    def collect(
        cls, results: Sequence[float | SampleFailure], cut: Mapping[int, int] | None = None
    ) -> "RawRewards":
        """Collects one reward or failure per sample; a reward that is not finite is a failure."""
        values = np.full(len(results), np.nan)
        failures: dict[int, SampleFailure] = {}
        for i, result in enumerate(results):
            if isinstance(result, SampleFailure):
                failures[i] = result
            elif np.isfinite(result):
                values[i] = result
            else:
                failures[i] = SampleFailure("INTERNAL", f"the reward is {result}, not a number")
        own = {i: n for i, n in (cut or {}).items() if n and i not in failures}
        return cls(values, failures, own)


Options = TypeVar("Options", bound=BaseModel)


class Trait(ABC, Generic[Options]):
    """One trait: a kind with its options. Subclass `TextTrait` or `ModelTrait`."""

    kind: ClassVar[str]
    """The kind's name, the value of `kind:` in the trait file. A plugin's kind is named by its
    entry point."""
    code_version: ClassVar[int] = 1
    """Raise it whenever the same options would give another reward: the trait's version changes
    with it, and evaluations of the two versions never mix."""
    options_type: ClassVar[type[BaseModel]]
    """The class of the options."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def load(self, models: ModelStore) -> None:
        """Reads the models and files that scoring needs. Called once, never on the event loop.

        Raises:
            TraitLoadError: the trait cannot be scored; the message says why.
        """

    def fields(self) -> frozenset[TextField]:
        """What the trait reads of a sample. Override it in a kind that reads something else.

        Nothing is trained or evaluated for a trait that reads the reference on prompts without one.
        """
        return frozenset({"prompt", "response"})

    def empty_response(self) -> EmptyResponse:
        """What a response that says nothing gets, where the trait file does not state it.

        Override it in a kind that cannot judge such a response, or has a fixed value for it. It is
        a part of the kind's code: raise `code_version` when it changes.
        """
        return "judged"

    def identity(self) -> dict[str, Any]:
        """Everything that determines the raw rewards, as JSON: part of the trait's version.

        Called after `load`.
        """
        return {
            "kind": self.kind,
            "code_version": self.code_version,
            "options": options_identity(self.options),
        }


def options_identity(options: BaseModel) -> dict[str, Any]:
    """Options as JSON, without those that are not part of a trait's version.

    These are options marked `OUTSIDE`, and options at the value that they mark as `Neutral`; see
    `palmfolio_runtime.identity`.
    """
    return options.model_dump(mode="json", exclude=left_out(options))


class TextTrait(Trait[Options]):
    """A trait that is a plain function of the texts.

    Example:
        >>> class Questions(TextTrait[TraitOptions]):
        ...     options_type = TraitOptions
        ...
        ...     def reward(self, sample: Sample) -> float:
        ...         if not sample.response:
        ...             raise SampleError("is empty", field="response")
        ...         return float(sample.response.count("?"))
        >>> trait = Questions(TraitOptions())
        >>> rewards = trait.raw_rewards([Sample("Hi", "Who? Why?"), Sample("Hi", "")])
        >>> rewards.values
        array([ 2., nan])
        >>> rewards.failures[1].message
        'is empty'
    """

    @abstractmethod
    def reward(self, sample: Sample) -> float:
        """The raw reward of one sample, any finite number.

        It runs in a process of its own, which is killed when it takes longer than
        `engine.sample_seconds` (5 s).

        Raises:
            SampleError: this sample cannot be scored. Any other exception has the same effect,
                with the code INTERNAL.
        """

    def raw_rewards(self, samples: Sequence[Sample]) -> RawRewards:
        """Raw rewards; a sample that raises does not fail the others."""
        return RawRewards.collect([self.reward_or_failure(sample) for sample in samples])

    def reward_or_failure(self, sample: Sample) -> float | SampleFailure:
        """The raw reward of one sample, or why there is none. It never raises."""
        try:
            return float(self.reward(sample))
        except SampleError as error:
            return error.failure
        except BaseException as error:  # a library's `sys.exit`, for example
            return SampleFailure("INTERNAL", described(error))


def described(error: BaseException) -> str:
    """The type and the message of an error, whatever its own code does."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:
        return type(error).__name__


class ModelTrait(Trait[Options]):
    """A trait that is computed from a neural model's outputs.

    Example: `embedding_similarity.py` in this folder asks for two embeddings per sample and
    returns their cosine.
    """

    model: DeviceModel
    """Set by `load`: get it from the `ModelStore`, so that traits share models."""

    @abstractmethod
    def inputs(self, sample: Sample) -> Sequence[ModelInput]:
        """The inputs that the model must compute for a sample.

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
        """As for every trait, but the model counts by its content, not by its name or path.

        So the same files in another folder give the same version.
        """
        return {
            "kind": self.kind,
            "code_version": self.code_version,
            # The type in use: `auto` is another one on another device.
            "options": options_identity(self.options) | {"dtype": self.model.dtype},
            "model_revision": self.model.revision,
        }
