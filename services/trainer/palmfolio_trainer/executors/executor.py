"""The contract between the trainer and what runs its jobs.

An executor is never the source of truth: the database says which attempt of a job is current, and
an executor that loses a job only costs another attempt.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeAlias

import pydantic
from pydantic import ConfigDict, Field, PlainSerializer, PlainValidator

from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.limits import Limits
from palmfolio_runtime.prompts import Prompt
from palmfolio_trainer.policies.spec import TrainingSpec


class _Message(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _prompt(value: Any) -> Prompt:
    return value if isinstance(value, Prompt) else Prompt.from_canonical(value)


# Travels to the job's process in its canonical form.
JobPrompt = Annotated[Prompt, PlainValidator(_prompt), PlainSerializer(Prompt.canonical)]


class Job(_Message):
    """One attempt at one training: everything that its process needs to know."""

    id: str
    attempt: int
    policy: str
    """The id of the policy that is trained."""
    spec: TrainingSpec
    prompts: tuple[JobPrompt, ...]
    base_path: str
    """The base model's folder."""
    initial_adapter: str | None
    """The folder of the adapter that training starts from."""
    folder: Path
    """The job's own folder: its log, and a folder per attempt."""
    scorer: Endpoint
    limits: Limits
    score_timeout_seconds: float
    scorer_patience_seconds: float

    @property
    def log(self) -> Path:
        """What the job's processes print."""
        return self.folder / "job.log"

    @property
    def result(self) -> Path:
        """The folder of the attempt's sealed adapter."""
        return self.folder / f"attempt-{self.attempt}"

    @property
    def partial(self) -> Path:
        """The folder that becomes `result`."""
        return self.folder / f"attempt-{self.attempt}.partial"


class Progress(_Message):
    """How far a job's process is."""

    kind: Literal["progress"] = "progress"
    stage: str = "training"
    step: int = 0
    steps: int = 0
    reward_means: dict[str, float] = {}
    """Mean normalised reward by trait over the last step's completions that have one."""
    completions: int = 0
    """Sampled since the attempt began."""
    unscored_completions: int = 0
    """Of these, left out of the updates: a trait that weighs had no reward for them."""
    empty_completions: int = 0
    """Of these, nothing but white space and invisible characters."""
    message: str = ""


class Succeeded(_Message):
    """The sealed adapter is in the job's `result` folder."""

    kind: Literal["succeeded"] = "succeeded"


class Failed(_Message):
    """The training ended with an error that another attempt would meet again."""

    kind: Literal["failed"] = "failed"
    error: str


class VolumeFull(_Message):
    """A volume was full: another attempt may succeed once there is space."""

    kind: Literal["volume_full"] = "volume_full"
    error: str


class Cancelled(_Message):
    """The attempt was told to stop, and stopped."""

    kind: Literal["cancelled"] = "cancelled"


class Crashed(_Message):
    """The attempt's process ended without reporting an outcome."""

    kind: Literal["crashed"] = "crashed"
    error: str


Outcome: TypeAlias = Succeeded | Failed | VolumeFull | Cancelled | Crashed
Event: TypeAlias = Annotated[
    Progress | Succeeded | Failed | VolumeFull | Cancelled | Crashed, Field(discriminator="kind")
]


@dataclass(frozen=True)
class Report:
    """What happened to an attempt since the last report."""

    progress: tuple[Progress, ...] = ()
    outcome: Outcome | None = None
    """Set once, when the attempt has ended."""


class Executor(Protocol):
    """Runs attempts, each in a process of its own."""

    async def start(self) -> None:
        """Makes the executor ready for `submit`."""

    def free_slots(self) -> int:
        """How many attempts could be submitted now."""

    async def submit(self, job: Job) -> None:
        """Begins an attempt.

        Raises:
            RuntimeError: no slot is free.
        """

    def poll(self, job: str, attempt: int) -> Report:
        """What happened since the last call.

        The report that has an outcome is the last one and frees the attempt's slot.

        Raises:
            KeyError: the attempt is not here.
        """

    async def cancel(self, job: str, attempt: int) -> None:
        """Tells an attempt to stop; `poll` reports when it has. An unknown attempt is ignored."""

    async def reattach(self, job: str, attempt: int) -> bool:
        """Whether an attempt that another trainer process submitted still runs and can be polled.

        True makes `poll` and `cancel` work for it from now on.
        """

    async def close(self) -> None:
        """Stops every attempt and waits for its end."""


__all__ = [
    "Cancelled",
    "Crashed",
    "Event",
    "Executor",
    "Failed",
    "Job",
    "Outcome",
    "Progress",
    "Report",
    "Succeeded",
    "VolumeFull",
]
