"""The interface of a check."""

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from palmfolio_scorer.models.sources import ModelPlaces
from palmfolio_scorer.samples import Sample


class CheckOptions(BaseModel):
    """Base of every check's options; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Options = TypeVar("Options", bound=CheckOptions)


class Check(ABC, Generic[Options]):
    """One check with its options."""

    name: ClassVar[str]
    """What `check:` in the trait file says."""
    code_version: ClassVar[int] = 1
    """Raise it whenever the same options would give another reward."""
    options_type: ClassVar[type[CheckOptions]]

    def __init__(self, options: Options) -> None:
        self.options = options

    def load(self, places: ModelPlaces) -> None:
        """Reads what the check needs; `places` says where models may come from.

        Raises:
            TraitLoadError: it cannot be read.
        """

    def provenance(self) -> dict[str, str]:
        """Versions of libraries and files whose change would change rewards. After `load`."""
        return {}

    @abstractmethod
    def reward(self, sample: Sample) -> float:
        """One raw reward.

        Raises:
            SampleError: this sample cannot be scored.
        """
