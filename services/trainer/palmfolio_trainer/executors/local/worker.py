"""The process of one training: a job in on standard input, events out on standard output.

It loads its libraries first and then waits for its job, so that it can be started ahead of time.
It ends when its input ends, because then the trainer that started it is gone.
"""

import os
import queue
import shutil
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from types import FrameType

from palmfolio_runtime.volumes import is_no_room
from palmfolio_trainer.executors.executor import (
    Cancelled,
    Event,
    Failed,
    Job,
    Progress,
    Succeeded,
    VolumeFull,
)
from palmfolio_trainer.policies import artifacts
from palmfolio_trainer.training import task
from palmfolio_trainer.training.methods import registry
from palmfolio_trainer.training.rewards import ScorerRewards
from palmfolio_trainer.training.run import run

_READ_BYTES = 2**16


class Channel:
    """Sends events to the trainer over what was standard output.

    Whatever else is printed goes to standard error, which is the job's log.
    """

    def __init__(self) -> None:
        # Descriptors are exchanged, not `sys.stdout`: libraries in C print past Python.
        self._descriptor = os.dup(1)
        os.dup2(2, 1)

    def send(self, event: Event) -> None:
        """Sends one event. Raises OSError when the trainer is gone, which `Inbox` notices too."""
        line = event.model_dump_json().encode() + b"\n"
        # A signal may interrupt a write when only a part is written.
        while line:
            line = line[os.write(self._descriptor, line) :]


class Inbox:
    """Takes the job from standard input; kills this process group when the input ends."""

    def __init__(self) -> None:
        self._jobs: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def job(self) -> Job:
        """Waits for the job."""
        return Job.model_validate_json(self._jobs.get())

    def _read(self) -> None:
        # Not through sys.stdin: at its end the interpreter would wait for the lock that this thread
        # holds while it reads.
        received = b""
        while chunk := os.read(0, _READ_BYTES):
            received += chunk
            line, newline, rest = received.partition(b"\n")
            if newline:
                self._jobs.put(line)
                received = rest
        # SIGKILL, because torch or a reward call may hold up a milder signal for minutes.
        os.killpg(0, signal.SIGKILL)


class StopRequest:
    """The stop check of a training; SIGTERM sets it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._busy = False
        signal.signal(signal.SIGTERM, self._on_signal)

    def begin(self) -> None:
        """Makes SIGTERM stop the training at its next step instead of ending the process."""
        self._busy = True

    def is_set(self) -> bool:
        """Whether the training is to stop."""
        return self._event.is_set()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self._busy:
            # Without a job there is nothing to finish, and importing torch would delay an exit.
            os._exit(0)
        self._event.set()


class Reporter:
    """Reports a training's progress; a report changes only what it names."""

    def __init__(self, channel: Channel, steps: int) -> None:
        self._channel = channel
        self._last = Progress(steps=steps)

    def step(self, progress: task.Progress) -> None:
        """Reports a finished step."""
        self._send(
            step=progress.step,
            steps=progress.steps,
            reward_means=dict(progress.rewards),
            completions=progress.completions,
            unscored_completions=progress.unscored,
            empty_completions=progress.empty,
        )

    def note(self, message: str) -> None:
        """Reports that the training waits, and for what, or that completions have no reward."""
        self._send(message=message)

    def publishing(self) -> None:
        """Reports that the last step is done."""
        self._send(stage="publishing")

    def _send(self, message: str = "", **changes: object) -> None:
        self._last = self._last.model_copy(update={"message": message, **changes})
        self._channel.send(self._last)


def train(job: Job, report: Reporter, stop: StopRequest) -> Event:
    """Trains a job's policy; returns the outcome."""
    spec = job.spec
    rewards = ScorerRewards(
        job.scorer,
        job.limits,
        spec.trait_versions,
        job.score_timeout_seconds,
        job.scorer_patience_seconds,
        on_wait=report.note,
        should_stop=stop.is_set,
        on_missing=report.note,
    )
    # Usually there is none, since each attempt has its own number.
    shutil.rmtree(job.partial, ignore_errors=True)
    job.partial.mkdir(parents=True)
    training = task.TrainingTask(
        base_path=Path(job.base_path),
        output_dir=job.partial,
        prompts=job.prompts,
        weights=spec.weights,
        traits=tuple(spec.trait_versions),
        settings=spec.settings,
        seed=spec.seed,
        base_model=spec.base_model,
        base_revision=spec.base_revision,
        initial_adapter=Path(job.initial_adapter) if job.initial_adapter else None,
    )
    tools = task.TrainingTools(rewards, on_progress=report.step, should_stop=stop.is_set)
    try:
        run(training, tools)
    except task.TrainingCancelled:
        return Cancelled()
    report.publishing()
    artifacts.seal(job.partial)
    # The last step: `result` exists only when it is complete and sealed.
    job.partial.rename(job.result)
    return Succeeded()


def main() -> None:
    """Loads the libraries, takes a job, trains it, reports, and ends."""
    channel = Channel()
    inbox = Inbox()
    stop = StopRequest()
    # Takes seconds, so a spare does it before it has a job.
    registry.preload()
    job = inbox.job()
    stop.begin()
    _redirect(job.log)
    try:
        outcome = train(job, Reporter(channel, job.spec.settings.total_steps), stop)
    except Exception as error:  # the client must learn of any error, from the operation
        outcome = _failure(error)
    channel.send(outcome)
    with suppress(OSError):  # the log's volume may be full
        sys.stdout.flush()
        sys.stderr.flush()
    # Not sys.exit, which would wait for threads of torch and gRPC; everything is on disk.
    os._exit(0)


def _redirect(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


def _failure(error: Exception) -> Event:
    with suppress(OSError):
        traceback.print_exc()
    if is_no_room(error) and not isinstance(error, task.RewardError):
        return VolumeFull(error=_described(error))
    return Failed(error=_described(error))


def _described(error: Exception) -> str:
    known = isinstance(error, task.RewardError | artifacts.ArtifactError)
    return str(error) if known else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
