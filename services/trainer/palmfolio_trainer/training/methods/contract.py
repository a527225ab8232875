"""The contract of a training method: what its folder provides to the registry.

A method is one folder: its settings, how the protocol shows them, and the training itself. The
rest of the trainer knows methods only through `Method` and `MethodSettings`. Imports no torch.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import pydantic
from pydantic import ConfigDict

from palmfolio.v1 import trainer_pb2
from palmfolio_runtime.limits import TrainerLimits
from palmfolio_trainer.training.task import TrainingResult, TrainingTask, TrainingTools

Violation = tuple[str, str]
"""A field's path and what is wrong with it."""


class MethodSettings(pydantic.BaseModel):
    """Settings of one method. A subclass gives `method` its name as a `Literal` and the default.

    Settings are part of a policy's address, by the rules of `palmfolio_runtime.identity`: a new
    setting is marked with its `Neutral` value, the one that means "as before", and one that does
    not change the result is marked `OUTSIDE`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str

    @property
    def total_steps(self) -> int:
        """Steps that the training reports as its total; 0 when unknown beforehand."""
        return 0


SettingsT = TypeVar("SettingsT", bound=MethodSettings)
_Input = TypeVar("_Input", bound=MethodSettings, contravariant=True)


class TrainFunction(Protocol[_Input]):
    """Trains one policy and writes its adapter into `task.output_dir`."""

    def __call__(self, task: TrainingTask[_Input], tools: TrainingTools) -> TrainingResult:
        """
        Raises:
            ValueError: the task is wrong; the message names the field.
            RewardError: rewards of a wrong shape, infinite, or missing step after step.
            TrainingCancelled: `tools.should_stop` returned True.
        """


@dataclass(frozen=True)
class ParseContext:
    """What a method may check its settings against.

    Attributes:
        prompts: how many training prompts the spec has.
        limits: the server's limits.
        field: the path of the method's message, for violations, for example `spec.grpo`.
    """

    prompts: int
    limits: TrainerLimits
    field: str


@dataclass(frozen=True)
class Method(Generic[SettingsT]):
    """One training method.

    Attributes:
        settings: the class of its settings; its `method` is the name of the method's field in
            the oneof `PolicySpec.method`.
        parse: reads and checks the method's protocol message; returns the settings with defaults
            filled in, or all violations.
        show: writes settings into the method's field of a `PolicySpec`, defaults filled in.
        module: where the training function lives. It is imported when a training needs it, so
            that the service itself never loads torch for it.
        function: the training function's name in `module`.
    """

    settings: type[SettingsT]
    parse: Callable[[Any, ParseContext], SettingsT | list[Violation]]
    show: Callable[[SettingsT, trainer_pb2.PolicySpec], None]
    module: str
    function: str = "train"

    @property
    def name(self) -> str:
        """The method's name, for example `grpo`."""
        name: str = self.settings.model_fields["method"].default
        return name

    def load(self) -> TrainFunction[SettingsT]:
        """Imports the training function with the libraries that it needs."""
        function: TrainFunction[SettingsT] = getattr(
            importlib.import_module(self.module), self.function
        )
        return function


def validate(
    settings: type[SettingsT], values: dict[str, Any], field: str
) -> SettingsT | list[Violation]:
    """Settings made of a message's set fields, or what pydantic says is wrong with them."""
    try:
        return settings(**values)
    except pydantic.ValidationError as error:
        return [
            (".".join([field, *map(str, issue["loc"])]), issue["msg"]) for issue in error.errors()
        ]
