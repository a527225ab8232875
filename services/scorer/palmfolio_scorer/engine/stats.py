"""What a model's worker has done since it started."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class WorkerStats:
    """Counters that only rise. Guarded by the worker's lock."""

    batches: int = 0
    """Batches that were computed; one that failed and was halved counts by its parts."""
    inputs: int = 0
    """Inputs in them."""
    tokens: int = 0
    """Tokens of these inputs."""
    padding: int = 0
    """Tokens computed beside them, to make batches rectangular."""
    failed: int = 0
    """Inputs without an output."""
    reused: int = 0
    """Inputs served from the cache, or by an equal one that was waiting or running."""

    def computed(self, lengths: Sequence[int], failed: int, *, padded: bool) -> None:
        """Counts a batch of inputs of these lengths, in tokens."""
        self.batches += 1
        self.inputs += len(lengths)
        self.tokens += sum(lengths)
        self.failed += failed
        if padded:
            self.padding += len(lengths) * max(lengths) - sum(lengths)
