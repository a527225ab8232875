"""One worker process: a group of its own that takes a job on its standard input."""

import asyncio
import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import pydantic

from palmfolio_runtime.logs import get_logger
from palmfolio_trainer.executors.executor import Crashed, Event, Job, Outcome, Progress, Report

log = get_logger(__name__)

_EVENTS: pydantic.TypeAdapter[Event] = pydantic.TypeAdapter(Event)
_TAIL_BYTES = 8192
_TAIL_LINES = 15
# An event is one line; a longer line is not an event of ours.
_LINE_BYTES = 2**20


class WorkerProcess:
    """A process of `palmfolio_trainer.executors.local.worker`, waiting for its job or running it.

    Its standard input stays open as long as this process lives. When it ends, the worker knows that
    the trainer is gone.

    Args:
        command: what is run.
        device: what `CUDA_VISIBLE_DEVICES` is set to; empty leaves it as it is.
        log: what the process prints before it has a job.
    """

    def __init__(self, command: Sequence[str], device: str, log: Path) -> None:
        self._command = tuple(command)
        self.device = device
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._job: Job | None = None
        self._progress: deque[Progress] = deque()
        self._outcome: Outcome | None = None
        self.ended = asyncio.Event()

    async def start(self, environment: Mapping[str, str]) -> None:
        """Starts the process. It loads its libraries and waits for its job."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        variables = {**os.environ, **environment}
        if self.device:
            variables["CUDA_VISIBLE_DEVICES"] = self.device
        with self._log.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                env=variables,
                # A session of its own: a signal to its group reaches its children too, and Ctrl-C
                # in the trainer's terminal does not reach the job.
                start_new_session=True,
                limit=_LINE_BYTES,
            )
        self._reading = asyncio.create_task(self._read(self._process))

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    async def assign(self, job: Job) -> None:
        """Hands the process its job."""
        self._job = job
        job.folder.mkdir(parents=True, exist_ok=True)
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(job.model_dump_json().encode() + b"\n")
            await process.stdin.drain()
        except ConnectionError:
            # The process died before it could take the job; `_read` notices its end.
            log.warning("a worker died before its job", pid=process.pid)

    def report(self) -> Report:
        """What happened since the last report; with an outcome once the process has ended."""
        # A process that has sent its outcome still holds its device until it has ended.
        progress = tuple(self._progress)
        self._progress.clear()
        return Report(progress, self._outcome if self.ended.is_set() else None)

    async def stop(self, grace_seconds: float) -> None:
        """Ends the process: SIGTERM to its group, SIGKILL after the grace; waits for the end."""
        if self._process is None:
            return
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ended.wait(), grace_seconds)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.ended.wait()

    def signal(self, number: signal.Signals) -> None:
        """Signals the whole group; nothing happens to one that has ended."""
        if self.alive:
            try:
                os.killpg(self._started().pid, number)
            except ProcessLookupError:
                log.debug("a worker was gone already", pid=self._started().pid)

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the worker was not started")
        return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                self._take(_EVENTS.validate_json(line))
        except ValueError as error:
            # After one line that is not an event, no later line can be trusted.
            log.error("a worker wrote a line that is not an event", error=str(error))
            self.signal(signal.SIGKILL)
        code = await process.wait()
        if self._outcome is None:
            self._outcome = Crashed(error=self._cause_of_death(code))
        self._log.unlink(missing_ok=True)
        self.ended.set()

    def _take(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._progress.append(event)
        else:
            self._outcome = event

    def _cause_of_death(self, code: int) -> str:
        """Why the process died, with the end of its log."""
        if code < 0:
            cause = f"was killed by {signal.Signals(-code).name}"
        else:
            cause = f"exited with code {code}"
        logs = [path for path in (self._job.log if self._job else None, self._log) if path]
        tail = next((text for path in logs if (text := tail_of(path))), "(the log is empty)")
        return f"the job's process {cause}; its log {logs[0]} ends:\n{tail}"


def tail_of(path: Path) -> str:
    """The last lines of a log; empty when there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join([line for line in lines if line.strip()][-_TAIL_LINES:])


__all__ = ["WorkerProcess", "tail_of"]
