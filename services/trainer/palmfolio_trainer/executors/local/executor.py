"""Jobs as processes of this machine, one process group each, on a fixed number of slots."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from palmfolio_trainer.executors.executor import Job, Report
from palmfolio_trainer.executors.local.process import WorkerProcess

WORKER = (sys.executable, "-m", "palmfolio_trainer.executors.local.worker")


@dataclass
class _Running:
    slot: int
    worker: WorkerProcess
    # Kept so that a second `cancel` does not signal again, and because asyncio itself keeps only a
    # weak reference to a task.
    stopping: asyncio.Task[None] | None = None


class LocalExecutor:
    """Runs jobs on this machine. They end with the trainer, so none can be reattached.

    Args:
        folder: for the logs of processes that have no job yet.
        slots: how many attempts run at a time.
        devices: CUDA devices; slot i uses device i modulo their number. Empty leaves the choice to
            torch.
        environment: variables of every job's process.
        warm_spare: whether one process waits with its libraries loaded.
        grace_seconds: how long a cancelled attempt may take to stop.
        command: the program of a job's process.
    """

    def __init__(
        self,
        folder: Path,
        slots: int,
        devices: Sequence[str],
        environment: Mapping[str, str],
        warm_spare: bool,
        grace_seconds: float,
        command: Sequence[str] = WORKER,
    ) -> None:
        self._command = tuple(command)
        self._folder = folder
        self._devices = [devices[i % len(devices)] if devices else "" for i in range(slots)]
        self._environment = dict(environment)
        self._warm_spare = warm_spare
        self._grace_seconds = grace_seconds
        self._running: dict[tuple[str, int], _Running] = {}
        self._spare: WorkerProcess | None = None
        self._spawned = 0

    async def start(self) -> None:
        """Starts the spare."""
        # Logs of processes of an earlier trainer that never got a job.
        for left_over in self._folder.glob("starting-*.log"):
            left_over.unlink()
        await self._renew_spare()

    def free_slots(self) -> int:
        """Slots without an attempt."""
        return len(self._devices) - len(self._running)

    async def submit(self, job: Job) -> None:
        """Begins an attempt in the spare process, or in a new one.

        Raises:
            RuntimeError: no slot is free.
        """
        taken = {running.slot for running in self._running.values()}
        slot = next((i for i in range(len(self._devices)) if i not in taken), None)
        if slot is None:
            raise RuntimeError("no slot is free")
        worker = await self._worker(self._devices[slot])
        self._running[job.id, job.attempt] = _Running(slot, worker)
        # Registered first: the death of a process that dies at once must still be polled.
        await worker.assign(job)
        await self._renew_spare()

    def poll(self, job: str, attempt: int) -> Report:
        """What happened since the last call; see `Executor.poll`."""
        report = self._running[job, attempt].worker.report()
        # The process has ended by now, so its device is free for the next attempt.
        if report.outcome is not None:
            del self._running[job, attempt]
        return report

    async def cancel(self, job: str, attempt: int) -> None:
        """Stops an attempt's process group, in the background."""
        running = self._running.get((job, attempt))
        if running and running.stopping is None:
            running.stopping = asyncio.create_task(running.worker.stop(self._grace_seconds))

    async def reattach(self, job: str, attempt: int) -> bool:
        """Whether the attempt runs here; an attempt of another trainer process never does."""
        return (job, attempt) in self._running

    async def close(self) -> None:
        """Stops every process and waits for its end."""
        workers = [running.worker for running in self._running.values()]
        if self._spare:
            workers.append(self._spare)
        await asyncio.gather(*(worker.stop(self._grace_seconds) for worker in workers))

    async def _worker(self, device: str) -> WorkerProcess:
        spare = self._spare
        if spare and spare.alive and spare.device == device:
            self._spare = None
            return spare
        return await self._spawn(device)

    async def _renew_spare(self) -> None:
        """Starts a spare for the slot that becomes free next.

        Only for that one: a spare holds torch in memory, and on a GPU a context of its own.
        """
        if not self._warm_spare or (self._spare and self._spare.alive):
            return
        oldest_first = [running.slot for running in self._running.values()]
        free = [i for i in range(len(self._devices)) if i not in oldest_first]
        self._spare = await self._spawn(self._devices[(free or oldest_first)[0]])

    async def _spawn(self, device: str) -> WorkerProcess:
        self._spawned += 1
        worker = WorkerProcess(
            self._command, device, self._folder / f"starting-{self._spawned}.log"
        )
        await worker.start(self._environment)
        return worker
