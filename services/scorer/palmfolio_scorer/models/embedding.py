"""Sentence-transformers models: text in, embedding out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from palmfolio_scorer.models.base import DeviceModel, Encoded, ModelInput, ModelOptions
from palmfolio_scorer.models.device import (
    batch_tensors,
    memory_of,
    release_cache,
    resolve_dtype,
    torch_dtype,
)
from palmfolio_scorer.models.places import PICKLES
from palmfolio_scorer.models.source import TraitLoadError, locate, model_revision
from palmfolio_scorer.models.tokenising import LimitedTokeniser


class EmbeddingModel(DeviceModel):
    """A sentence-transformers model; its pooling and normalisation are its own.

    An input is `(text,)`, an output its embedding (K,).
    """

    def __init__(self, options: ModelOptions, device: str) -> None:
        from sentence_transformers import SentenceTransformer

        source = _without_pickles(locate(options), options.revision)
        self.device = device
        self.dtype = resolve_dtype(options.dtype, device)
        try:
            model: Any = SentenceTransformer(
                source,
                device=device,
                revision=options.revision,
                trust_remote_code=options.trust_remote_code,
                model_kwargs={"dtype": torch_dtype(self.dtype), "use_safetensors": True},
            )
        except Exception as error:
            raise TraitLoadError(f"cannot load the model {options.model}: {error}") from error
        self._model: Any = model.eval()
        commit = getattr(self._model[0].auto_model.config, "_commit_hash", None)
        self.revision = model_revision(source, commit)
        self._tokenise = LimitedTokeniser(
            self._model.tokenizer,
            max_tokens=options.max_tokens,
            model_limit=self._model.max_seq_length,
            overflow=options.overflow,
        )

    def encode(self, inputs: Sequence[ModelInput]) -> list[Encoded]:
        """Tokenises texts."""
        return self._tokenise([text for (text,) in inputs])

    def forward(self, batch: Sequence[Encoded]) -> npt.NDArray[np.float32]:
        """Embeddings (B, K)."""
        import torch

        with torch.inference_mode():
            features = batch_tensors(batch, self._tokenise.tokenizer.pad_token_id or 0, self.device)
            embeddings = self._model.forward(features)["sentence_embedding"]
            result: npt.NDArray[np.float32] = embeddings.float().cpu().numpy()
        return result

    def memory_bytes(self) -> int:
        """Bytes that the weights take."""
        return memory_of(self._model)

    def release(self) -> None:
        """Gives cached device memory back."""
        release_cache(self.device)


def _without_pickles(source: str, revision: str | None) -> str:
    """A folder with the model's files but pickled ones, which sentence-transformers would read.

    Raises:
        TraitLoadError: the hub does not have it.
    """
    if Path(source).is_dir():
        return source
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(source, revision=revision, ignore_patterns=list(PICKLES))
    except Exception as error:
        raise TraitLoadError(f"cannot download the model {source}: {error}") from error
