"""The program of a worker: `python -m palmfolio_scorer.engine.texts.worker SOCKET`.

It makes traits and computes rewards until its socket closes. It has no other thread, and leaves
every limit to the scorer, which kills it.
"""

import contextlib
import ctypes
import os
import pickle
import signal
import socket
import sys

from palmfolio_runtime.digest import digest
from palmfolio_scorer.engine.texts.messages import (
    LENGTH,
    Answer,
    Load,
    Loaded,
    Refused,
    Score,
    answer_bytes,
)
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.kind import TextTrait
from palmfolio_scorer.traits.registry import make_trait

_PR_SET_PDEATHSIG = 1
# The first reward of a trait may import a library: that is no text's fault.
_FIRST = Sample("How do I bake bread?", "Knead it, and bake it in a hot oven.", "#### 1")


class Worker:
    """Traits by key, and the connection to the scorer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._input = connection.makefile("rb")
        self._traits: dict[str, TextTrait] = {}  # type: ignore[type-arg]

    def run(self) -> None:
        """Answers requests until the scorer closes the connection."""
        while len(head := self._input.read(LENGTH.size)) == LENGTH.size:
            request = pickle.loads(self._input.read(LENGTH.unpack(head)[0]))  # from the scorer
            if isinstance(request, Load):
                self._send(self._load(request))
            else:
                self._score(request)

    def _load(self, request: Load) -> Answer:
        try:
            trait = make_trait(request.kind, request.options)
            if not isinstance(trait, TextTrait):
                return Refused(f"{request.kind} is not a function of the texts")
            trait.load(ModelStore("cpu", request.sources))
            trait.raw_rewards([_FIRST])
            if digest(trait.identity()) != request.identity:
                return Refused("its files have changed since they were loaded: reload the scorer")
        except BaseException as error:
            return Refused(str(error) or type(error).__name__)
        self._traits[request.key] = trait
        return Loaded()

    def _score(self, request: Score) -> None:
        traits = [self._traits[key] for key in request.keys]
        for fields in request.samples:
            sample = Sample(*fields)
            for trait in traits:
                self._send(trait.reward_or_failure(sample))

    def _send(self, answer: Answer) -> None:
        self._connection.sendall(answer_bytes(answer))


def main() -> None:
    """Runs a worker on the socket whose number is the only argument."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    # A stop of the scorer's process group lets running calls end: only the scorer ends a worker.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):  # Linux only: to die with the scorer
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # What a trait's code prints belongs to the log.
    os.dup2(2, 1)
    with contextlib.suppress(OSError):  # the scorer is gone
        Worker(connection).run()
    os._exit(0)


if __name__ == "__main__":
    main()
