"""The interface of a check: a plain function of the texts, named by `check:`."""

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from palmfolio_scorer.models.sources import ModelSources
from palmfolio_scorer.samples import Sample, TextField


class CheckOptions(BaseModel):
    """Base of a check's options; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Options = TypeVar("Options", bound=CheckOptions)


class Check(ABC, Generic[Options]):
    """One check with its options.

    A new check is a module in this folder, and an entry in `CHECKS` of `traits/verifier.py`.

    Example:
        >>> class Questions(Check[CheckOptions]):
        ...     name = "questions"
        ...     options_type = CheckOptions
        ...
        ...     def reward(self, sample: Sample) -> float:
        ...         return float(sample.response.count("?"))
        >>> Questions(CheckOptions()).reward(Sample("Hi", "Who? Why?"))
        2.0
    """

    name: ClassVar[str]
    """The value of `check:` in the trait file."""
    code_version: ClassVar[int] = 1
    """Raise it whenever the same options would give another reward: the trait's version changes
    with it."""
    options_type: ClassVar[type[CheckOptions]]
    fields: ClassVar[frozenset[TextField]] = frozenset({"response"})
    """What the check reads of a sample."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def load(self, sources: ModelSources) -> None:
        """Reads the check's files; `sources` are the models that the operator allows.

        Raises:
            TraitLoadError: a file cannot be read.
        """

    def provenance(self) -> dict[str, str]:
        """Versions of the libraries and files that determine rewards. Called after `load`."""
        return {}

    @abstractmethod
    def reward(self, sample: Sample) -> float:
        """The raw reward of one sample.

        Raises:
            SampleError: this sample cannot be scored.
        """
