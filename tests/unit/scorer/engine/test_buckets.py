"""Batches keep to their budget, lose nothing, and let nobody wait for ever."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from palmfolio_scorer.engine.buckets import LengthBuckets


@dataclass(frozen=True)
class Item:
    key: bytes
    length: int


def _queue(lengths: list[int]) -> LengthBuckets[Item]:
    queue: LengthBuckets[Item] = LengthBuckets()
    for i, length in enumerate(lengths):
        queue.add(Item(str(i).encode(), length))
    return queue


@given(
    lengths=st.lists(st.integers(1, 60), max_size=80),
    budget=st.integers(1, 200),
    most=st.integers(1, 12),
    padded=st.booleans(),
)
def test_batches_partition_the_queue_within_the_budget(
    lengths: list[int], budget: int, most: int, padded: bool
) -> None:
    queue = _queue(lengths)
    left = {item.key for item in queue.entries()}
    while oldest := queue.entries()[:1]:
        batch = queue.pop_batch(budget, most, padded=padded)
        sizes = [item.length for item in batch]
        cost = len(sizes) * max(sizes) if padded else sum(sizes)
        assert oldest[0] in batch
        assert len(batch) <= most
        assert len(batch) == 1 or cost <= budget
        assert {item.key for item in batch} <= left
        left -= {item.key for item in batch}
        assert queue.tokens == sum(item.length for item in queue.entries())
    assert not left
    assert queue.pop_batch(budget, most) == []


def test_a_deep_queue_leaves_next_to_no_padding() -> None:
    queue = _queue([20 + (i * 37) % 493 for i in range(2000)])
    padded = used = 0
    while batch := queue.pop_batch(4096, 1024):
        padded += len(batch) * max(item.length for item in batch)
        used += sum(item.length for item in batch)
    assert padded < 1.05 * used
