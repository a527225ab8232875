"""Counters of a model's worker since its start."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class WorkerStats:
    """Counters that only rise. The worker changes them under its lock."""

    batches: int = 0
    """Batches that were computed; for one that failed and was halved, its parts count."""
    inputs: int = 0
    """Inputs in them."""
    tokens: int = 0
    """Tokens of these inputs."""
    padding: int = 0
    """Padding tokens computed in addition, to make batches rectangular."""
    failed: int = 0
    """Inputs without an output."""
    reused: int = 0
    """Inputs served from the cache, or by an equal input that was waiting or running."""

    def computed(self, lengths: Sequence[int], failed: int, *, padded: bool) -> None:
        """Counts a batch of inputs of these lengths, in tokens."""
        self.batches += 1
        self.inputs += len(lengths)
        self.tokens += sum(lengths)
        self.failed += failed
        if padded:
            self.padding += len(lengths) * max(lengths) - sum(lengths)
