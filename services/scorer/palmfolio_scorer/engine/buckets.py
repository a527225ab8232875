"""Waiting inputs by length: batches need almost no padding, and no input waits for ever."""

from bisect import bisect_left, insort
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """An input that waits."""

    @property
    def key(self) -> bytes:
        """Equal for equal inputs."""

    @property
    def length(self) -> int:
        """Tokens."""


Entry = TypeVar("Entry", bound=Waiting)


class LengthBuckets(Generic[Entry]):
    """A queue whose batches hold the oldest entry and those nearest to it in length.

    The oldest entry is always part of the next batch, so no length can starve another. The longer
    the queue, the less padding. Not thread-safe.
    """

    def __init__(self) -> None:
        self._by_key: OrderedDict[bytes, Entry] = OrderedDict()
        self._by_length: dict[int, OrderedDict[bytes, Entry]] = {}
        self._lengths: list[int] = []
        self.tokens = 0
        """Tokens of all waiting entries."""

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: bytes) -> Entry | None:
        """The waiting entry of that key, or None."""
        return self._by_key.get(key)

    def entries(self) -> list[Entry]:
        """All waiting entries, oldest first."""
        return list(self._by_key.values())

    def add(self, entry: Entry) -> None:
        """Puts an entry at the end of the queue; no waiting entry may have its key."""
        self._by_key[entry.key] = entry
        if entry.length not in self._by_length:
            self._by_length[entry.length] = OrderedDict()
            insort(self._lengths, entry.length)
        self._by_length[entry.length][entry.key] = entry
        self.tokens += entry.length

    def remove(self, entry: Entry) -> None:
        """Takes an entry out."""
        del self._by_key[entry.key]
        self.tokens -= entry.length
        bucket = self._by_length[entry.length]
        del bucket[entry.key]
        if not bucket:
            del self._by_length[entry.length]
            self._lengths.pop(bisect_left(self._lengths, entry.length))

    def pop_batch(self, token_budget: int, max_batch: int, *, padded: bool = True) -> list[Entry]:
        """Takes out the next batch, shortest first; empty when nothing waits.

        A batch has at most `max_batch` entries and costs at most `token_budget`; a single entry
        may cost more. The cost is the number of entries times the longest length when `padded`,
        otherwise the sum of the lengths.
        """
        if not self._by_key:
            return []
        head = next(iter(self._by_key.values()))
        batch = [head]
        self.remove(head)
        longest = tokens = head.length
        while len(batch) < max_batch and (length := self._nearest(head.length)) is not None:
            cost = max(longest, length) * (len(batch) + 1) if padded else tokens + length
            if cost > token_budget:
                break
            entry = next(iter(self._by_length[length].values()))
            self.remove(entry)
            batch.append(entry)
            longest, tokens = max(longest, length), tokens + length
        batch.sort(key=lambda entry: entry.length)
        return batch

    def _nearest(self, length: int) -> int | None:
        """The waiting length nearest to `length`; of two equally near lengths the shorter."""
        at = bisect_left(self._lengths, length)
        around = self._lengths[max(0, at - 1) : at + 1]
        return min(around, key=lambda other: abs(other - length), default=None)
