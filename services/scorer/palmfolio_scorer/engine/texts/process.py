"""One worker as the scorer sees it: started, given work, watched, killed."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from palmfolio_scorer.engine.texts.messages import (
    Answer,
    AnswerBuffer,
    Load,
    Loaded,
    Refused,
    Result,
    Score,
    request_bytes,
)
from palmfolio_scorer.samples import SampleFailure

_MODULE = "palmfolio_scorer.engine.texts.worker"
_LOAD_SECONDS = 120.0
_SEND_SECONDS = 30.0
_KILL_SECONDS = 10.0
_POLL_SECONDS = 0.5
_MOST_TIMES = 10
"""A worker that other programs keep from computing has this many times its time."""


class WorkerDied(Exception):
    """The worker ended by itself; the message says how."""


class WorkerStuck(Exception):
    """The worker did not answer in time."""


class WorkerProcess:
    """A running worker. Used by one thread at a time, except `kill`."""

    def __init__(self) -> None:
        """
        Raises:
            OSError: no process can be started.
        """
        own, other = socket.socketpair()
        with other:
            environment = os.environ | {
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "OMP_NUM_THREADS": "1",
                "TOKENIZERS_PARALLELISM": "false",
            }
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", _MODULE, str(other.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[other.fileno()],
                    env=environment,
                    process_group=0,  # what a trait's code starts is killed with it
                )
            except BaseException:
                own.close()
                raise
        own.setblocking(False)
        self._socket = own
        self._answers = AnswerBuffer()
        self._pending: list[Answer] = []
        self.loaded: dict[str, Loaded | Refused] = {}
        """Answers to `load`, by key."""

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def load(self, request: Load) -> Loaded | Refused:
        """Makes a trait in the worker.

        Raises:
            WorkerDied: it ended.
            WorkerStuck: it took too long.
        """
        self._send(request_bytes(request))
        answer = self._next(_LOAD_SECONDS)
        if not isinstance(answer, Loaded | Refused):
            raise WorkerDied("the worker answered something else")
        self.loaded[request.key] = answer
        return answer

    def score(
        self, request: Score, seconds: float, unwanted: Callable[[], bool]
    ) -> Iterator[Result]:
        """Rewards as they come, each within `seconds`.

        Raises:
            WorkerDied: it ended at the next reward.
            WorkerStuck: the next reward took too long, or `unwanted` says that nobody waits.
        """
        self._send(request_bytes(request))
        for _ in range(len(request.keys) * len(request.samples)):
            answer = self._next(seconds, unwanted)
            if not isinstance(answer, float | SampleFailure):
                raise WorkerDied("the worker answered something else")
            yield answer

    def kill(self) -> bool:
        """Kills the worker and what it started. False if it is still there after some seconds."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        try:
            self._process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        finally:
            self._socket.close()
        return True

    def _send(self, data: bytes) -> None:
        end = time.monotonic() + _SEND_SECONDS
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                _, writable, _ = select.select([], [self._socket], [], end - time.monotonic())
                if not writable:
                    raise WorkerStuck from None
            except OSError as error:
                raise WorkerDied(self._how()) from error

    def _next(self, seconds: float, unwanted: Callable[[], bool] = lambda: False) -> Answer:
        if self._pending:
            return self._pending.pop()
        start, computed = time.monotonic(), self._computed()
        while not self._pending:
            taken = time.monotonic() - start
            left = seconds - taken
            if left <= 0:
                kept_waiting = self._is_ready_to_run() and self._computed() - computed < seconds
                if not kept_waiting or taken > _MOST_TIMES * seconds:
                    raise WorkerStuck
                left = _POLL_SECONDS
            try:
                readable, _, _ = select.select([self._socket], [], [], min(left, _POLL_SECONDS))
                if not readable:
                    if unwanted():
                        raise WorkerStuck
                    continue
                data = self._socket.recv(2**16)
            except (OSError, ValueError) as error:  # closed by `kill`
                raise WorkerDied(self._how()) from error
            if not data:
                raise WorkerDied(self._how())
            try:
                self._pending = list(self._answers.add(data))
            except ValueError as error:
                raise WorkerDied(str(error)) from error
            self._pending.reverse()
        return self._pending.pop()

    def _stat(self) -> list[str]:
        """The fields of the process from its state on; none where the system does not say."""
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return []
        return text.rpartition(")")[2].split()

    def _is_ready_to_run(self) -> bool:
        """Whether it would go on if it had a core, or its memory."""
        return self._stat()[:1] in (["R"], ["D"])

    def _computed(self) -> float:
        """Seconds of one core that it has taken since its start."""
        fields = self._stat()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") if fields else 0.0

    def _how(self) -> str:
        """How the process ended."""
        try:
            code = self._process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            return "its worker closed its connection"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"its worker was ended by {signal.Signals(-code).name}"
        return f"its worker ended with code {code}"
