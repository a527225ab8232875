"""The bounds of the engine's queues, batches and caches."""

from pydantic import BaseModel, ConfigDict, Field

from palmfolio_scorer.models.device import is_cpu


class EngineSettings(BaseModel):
    """Bounds of the engine's queues, batches and caches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token_budget: int | None = Field(default=None, gt=0)
    """Tokens of one batch, padding included; None chooses by device. An input longer than the
    budget is a batch of its own."""
    max_batch: int = Field(default=1024, gt=0)
    """Inputs of one batch."""
    max_queued_samples: int = Field(default=16_384, gt=0)
    """Samples that wait or run; a request that does not fit is refused. A request of any size is
    accepted while no other one waits or runs."""
    max_queued_characters: int = Field(default=64 * 2**20, gt=0)
    """Characters of the samples that wait or run: this bounds the memory."""
    cached_outputs: int = Field(default=16_384, ge=0)
    """Model outputs kept per model, least recently used first out; 0 turns the cache off."""
    lanes: int | None = Field(default=None, gt=0)
    """Batches computed at the same time on a CPU, each on one thread; None means one per torch
    thread. An accelerator computes one batch of each model at a time."""
    text_threads: int = Field(default=1, gt=0)
    """Threads for tokenisers."""
    text_workers: int = Field(default=2, ge=0)
    """Processes for traits without a model. 0 runs them in the scorer itself, where a text that
    never ends stops it: for debugging."""
    sample_seconds: float = Field(default=5.0, gt=0)
    """Seconds that a trait without a model may take for one sample; then its process is killed,
    and the sample has no reward on that trait."""

    def budget_for(self, device: str) -> int:
        """Tokens of one batch on a device."""
        if self.token_budget is not None:
            return self.token_budget
        # On a CPU, the arrays of a larger batch do not fit the memory that the allocator reuses.
        return 768 if is_cpu(device) else 65_536
