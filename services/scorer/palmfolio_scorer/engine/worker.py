"""One model's queue, and the threads that run the model."""

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from palmfolio_runtime.logs import get_logger
from palmfolio_scorer.engine.buckets import LengthBuckets
from palmfolio_scorer.engine.stats import WorkerStats
from palmfolio_scorer.models.device import is_out_of_memory, single_thread
from palmfolio_scorer.models.files import key_of
from palmfolio_scorer.models.model import DeviceModel, Encoded, ModelInput, Output
from palmfolio_scorer.samples import EXPIRED, STOPPED, SampleError, SampleFailure

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Computed:
    """A model's output for one input."""

    output: Output
    cut: int = 0
    """Tokens of the input that were cut off before."""


Result = Computed | SampleFailure

_LEAST_SHARE = 256
"""Tokens; smaller batches are not split between lanes."""

_STOP_SECONDS = 5.0
"""A batch that takes longer is left behind when the worker stops."""


class Ticket:
    """One request's inputs on one model, and their results as they come."""

    def __init__(self, size: int, deadline: float | None, on_done: Callable[[], object]) -> None:
        """`deadline` is in `time.monotonic()`; `on_done` is called once, from any thread."""
        self.results: list[Result | None] = [None] * size
        self.deadline = deadline
        self.cancelled = False
        self._left = size
        self._on_done = on_done
        self._lock = threading.Lock()
        if not size:  # no result will come to call it
            on_done()

    def resolve(self, position: int, result: Result) -> None:
        """Sets one result; if it is set twice, the first counts."""
        with self._lock:
            if self.results[position] is not None:
                return
            self.results[position] = result
            self._left -= 1
            done = not self._left
        if done:
            self._on_done()

    def expired(self, now: float) -> bool:
        """Whether its deadline has passed."""
        return self.deadline is not None and now > self.deadline


@dataclass
class _Entry:
    """One input that waits or runs, and the tickets that asked for it."""

    key: bytes
    encoded: Encoded
    waiters: list[tuple[Ticket, int]] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.encoded.length


class ModelWorker:
    """Batches by length under a token budget; computes equal inputs once; isolates bad inputs.

    `enqueue` may be called from any thread. Only the worker's lanes call the model: one thread on
    an accelerator, one per core on a CPU. On a CPU each lane computes a batch of its own, because
    cores that share every operation spend their time waiting for one another.
    """

    def __init__(
        self,
        model: DeviceModel,
        *,
        token_budget: int,
        max_batch: int,
        cached_outputs: int,
        lanes: int = 1,
        slots: threading.Semaphore | None = None,
    ) -> None:
        """
        Args:
            model: the model.
            token_budget: tokens of one batch at most.
            max_batch: inputs of one batch at most.
            cached_outputs: outputs that are kept; 0 for none.
            lanes: number of threads that call the model.
            slots: limits the batches, of all models on a device, that run at the same time; None
                means no limit.
        """
        self.model = model
        self.stats = WorkerStats()
        self.token_budget = min(token_budget, model.max_batch_tokens or token_budget)
        """Halved whenever the device runs out of memory."""
        self._max_batch = max_batch
        self._cache_size = cached_outputs
        self._cache: OrderedDict[bytes, Computed] = OrderedDict()
        self._waiting: LengthBuckets[_Entry] = LengthBuckets()
        # An input that is being computed: equal inputs join it instead of being computed again.
        self._running: dict[bytes, _Entry] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._slots = slots or contextlib.nullcontext()
        self._lanes = [
            threading.Thread(target=self._run, name=f"model-{i}", daemon=True) for i in range(lanes)
        ]

    def start(self) -> None:
        """Starts the model's lanes."""
        for lane in self._lanes:
            lane.start()

    def stop(self) -> None:
        """Ends the lanes after their current batches; inputs that wait fail as UNAVAILABLE."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for lane in self._lanes:
            if lane.is_alive():
                lane.join(_STOP_SECONDS)
        with self._changed:
            # The lanes are gone, so nobody else would answer the inputs that still wait.
            while leftover := self._waiting.pop_batch(1, 1):
                for ticket, position in leftover[0].waiters:
                    ticket.resolve(position, STOPPED)
        self.model.release()

    def waiting(self) -> int:
        """Number of inputs that wait."""
        with self._changed:
            return len(self._waiting)

    def enqueue(self, ticket: Ticket, first: int, inputs: Sequence[ModelInput]) -> None:
        """Tokenises and queues inputs, at the ticket's positions from `first` on. Blocking."""
        keys = [key_of(parts) for parts in inputs]
        with self._changed:
            missing = [i for i, key in enumerate(keys) if not self._join(key, ticket, first + i)]
        if not missing:
            return
        # Outside the lock, because tokenising takes time. An equal input may arrive meanwhile, so
        # `_join` is tried again below.
        fresh = {keys[i]: inputs[i] for i in missing}
        encoded = dict(zip(fresh, self._encode(list(fresh.values())), strict=True))
        with self._changed:
            for i in missing:
                item = encoded[keys[i]]
                if isinstance(item, SampleFailure):
                    ticket.resolve(first + i, item)
                elif self._stopping:
                    ticket.resolve(first + i, STOPPED)
                elif not ticket.cancelled and not self._join(keys[i], ticket, first + i):
                    self._waiting.add(_Entry(keys[i], item, [(ticket, first + i)]))
            self._changed.notify_all()

    def cancel(self, ticket: Ticket) -> None:
        """Drops, immediately, the ticket's inputs that no other ticket waits for."""
        with self._changed:
            ticket.cancelled = True
            self._drop_dead(time.monotonic())

    def count_equal(self, inputs: int) -> None:
        """Counts inputs of one request that were left out because they equal others of it."""
        with self._changed:
            self.stats.reused += inputs

    def _join(self, key: bytes, ticket: Ticket, position: int) -> bool:
        """Serves an input from the cache, or lets it wait for an equal input. True if it did."""
        if (computed := self._cache.get(key)) is not None:
            self._cache.move_to_end(key)
            self.stats.reused += 1
            ticket.resolve(position, computed)
            return True
        entry = self._waiting.get(key) or self._running.get(key)
        if entry is not None:
            self.stats.reused += 1
            entry.waiters.append((ticket, position))
        return entry is not None

    def _encode(self, inputs: Sequence[ModelInput]) -> list[Encoded | SampleFailure]:
        try:
            return list(self.model.encode(inputs))
        except BaseException as error:
            if len(inputs) > 1:
                return [result for parts in inputs for result in self._encode([parts])]
            return [_failure(error)]

    def _run(self) -> None:
        if len(self._lanes) > 1:
            single_thread()
        while batch := self._next_batch():
            with self._slots:
                self._compute(batch)

    def _next_batch(self) -> list[_Entry]:
        """Waits for the next batch; empty when the worker stops."""
        with self._changed:
            while not self._stopping:
                batch = self._waiting.pop_batch(
                    self._share(), self._max_batch, padded=self.model.pads
                )
                batch = self._alive(batch, time.monotonic())
                if batch:
                    self._running |= {entry.key: entry for entry in batch}
                    return batch
                if not len(self._waiting):
                    self._changed.wait()
            return []

    def _share(self) -> int:
        """Tokens of the next batch: lanes share the waiting inputs, so that no lane is idle."""
        if len(self._lanes) == 1:
            return self.token_budget
        fair = -(-self._waiting.tokens // len(self._lanes))  # rounded up
        return min(self.token_budget, max(fair, _LEAST_SHARE))

    def _drop_dead(self, now: float) -> None:
        for entry in self._waiting.entries():
            if not self._alive([entry], now):
                self._waiting.remove(entry)

    @staticmethod
    def _alive(batch: list[_Entry], now: float) -> list[_Entry]:
        """The entries that a ticket still waits for; expired and cancelled tickets are dropped."""
        alive = []
        for entry in batch:
            waiters = []
            for ticket, position in entry.waiters:
                if ticket.expired(now):
                    ticket.resolve(position, EXPIRED)
                elif not ticket.cancelled:
                    waiters.append((ticket, position))
            entry.waiters = waiters
            if waiters:
                alive.append(entry)
        return alive

    def _compute(self, batch: list[_Entry]) -> None:
        """Runs a batch; a batch that fails is halved until only bad inputs fail."""
        try:
            outputs = self.model.forward([entry.encoded for entry in batch])
        except BaseException as error:
            if is_out_of_memory(error):
                self.model.release()
                if len(batch) > 1:
                    self._shrink(batch)
            if len(batch) == 1:
                self._publish(batch, [_failure(error)])
                return
            # With one bad input among n, this costs about 2 log n batches, not n.
            half = len(batch) // 2
            self._compute(batch[:half])
            self._compute(batch[half:])
            return
        rows = zip(outputs, batch, strict=True)
        self._publish(batch, [_checked(output, entry.encoded.cut) for output, entry in rows])

    def _shrink(self, batch: list[_Entry]) -> None:
        lengths = [entry.length for entry in batch]
        cost = len(batch) * max(lengths) if self.model.pads else sum(lengths)
        self.token_budget = max(1, min(self.token_budget, cost) // 2)
        _log.warning("out of memory: smaller batches", token_budget=self.token_budget)

    def _publish(self, batch: list[_Entry], results: Sequence[Result]) -> None:
        failed = sum(isinstance(result, SampleFailure) for result in results)
        with self._changed:
            self.stats.computed([e.length for e in batch], failed, padded=self.model.pads)
            for entry, result in zip(batch, results, strict=True):
                self._running.pop(entry.key, None)
                if self._cache_size and not isinstance(result, SampleFailure):
                    self._cache[entry.key] = result
                    if len(self._cache) > self._cache_size:
                        self._cache.popitem(last=False)
                for ticket, position in entry.waiters:
                    ticket.resolve(position, result)


def _checked(output: Output, cut: int) -> Result:
    """A copy of the output, or a failure where it is not finite."""
    if np.isfinite(output).all():
        # A copy, because a view would keep the whole batch's array in the cache.
        return Computed(output.copy(), cut)
    return SampleFailure("INTERNAL", "the model's output is not finite (NaN or infinity)")


def _failure(error: BaseException) -> SampleFailure:
    if isinstance(error, SampleError):
        return error.failure
    return SampleFailure("INTERNAL", f"{type(error).__name__}: {error}")
