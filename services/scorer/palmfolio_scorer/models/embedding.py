"""Sentence-transformers models: from a text to its embedding."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from palmfolio_scorer.models.device import (
    batch_tensors,
    memory_of,
    release_cache,
    resolve_dtype,
    torch_dtype,
)
from palmfolio_scorer.models.files import TraitLoadError, locate, model_revision
from palmfolio_scorer.models.model import DeviceModel, Encoded, ModelInput, ModelOptions
from palmfolio_scorer.models.sources import PICKLES
from palmfolio_scorer.models.tokenising import LimitedTokeniser

if TYPE_CHECKING:
    import torch

    from palmfolio_scorer.models.packed.form import Forward


class EmbeddingModel(DeviceModel):
    """A sentence-transformers model; its pooling and normalisation are its own.

    An input is `(text,)`, an output is its embedding (K,).
    """

    def __init__(self, options: ModelOptions, device: str) -> None:
        """
        Raises:
            TraitLoadError: the model cannot be loaded.
        """
        from sentence_transformers import SentenceTransformer

        from palmfolio_scorer.models.onednn import use_onednn

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
        use_onednn(self._model, device)
        self._packed = self._packed_form()
        self.pads = self._packed is None

    def encode(self, inputs: Sequence[ModelInput]) -> list[Encoded]:
        """Tokenises texts."""
        return self._tokenise([text for (text,) in inputs])

    def forward(self, batch: Sequence[Encoded]) -> npt.NDArray[np.float32]:
        """Embeddings (B, K)."""
        import torch

        with torch.inference_mode():
            embeddings = (self._packed or self._padded)(batch)
            result: npt.NDArray[np.float32] = embeddings.float().cpu().numpy()
        return result

    def _padded(self, batch: Sequence[Encoded]) -> "torch.Tensor":
        features = batch_tensors(batch, self._tokenise.tokenizer.pad_token_id or 0, self.device)
        embeddings: torch.Tensor = self._model.forward(features)["sentence_embedding"]
        return embeddings

    def _packed_form(self) -> "Forward | None":
        """The Transformer runs packed; pooling and later modules get their usual padded form."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        from palmfolio_scorer.models.packed.form import adopt, arguments_of, positions_of
        from palmfolio_scorer.models.packed.sequences import pack, packed

        transformer, *rest = self._model
        body = transformer.auto_model
        positions = positions_of(body)

        def embeddings(batch: Sequence[Encoded]) -> torch.Tensor:
            sequences = pack(batch, [()] * len(batch), self.device, positions=positions)
            with packed(sequences):
                arguments = arguments_of(sequences)
                arguments.pop("token_type_ids", None)  # the padded form does not pass them either
                hidden = body(**arguments).last_hidden_state[0]
            lengths = [len(encoded.ids) for encoded in batch]
            tokens = hidden.split(lengths)
            mask = [torch.ones(n, dtype=torch.int64, device=hidden.device) for n in lengths]
            features = {
                "token_embeddings": pad_sequence(list(tokens), batch_first=True),
                "attention_mask": pad_sequence(mask, batch_first=True),
            }
            for module in rest:
                features = module(features)
            return features["sentence_embedding"]

        with torch.inference_mode():
            return adopt(body, embeddings, self._padded, {})

    def memory_bytes(self) -> int:
        """Bytes that the weights take."""
        return memory_of(self._model)

    def release(self) -> None:
        """Releases cached device memory."""
        release_cache(self.device)


def _without_pickles(source: str, revision: str | None) -> str:
    """A folder with the model's files except pickles, which sentence-transformers would read.

    Raises:
        TraitLoadError: the model cannot be downloaded.
    """
    if Path(source).is_dir():
        return source
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(source, revision=revision, ignore_patterns=list(PICKLES))
    except Exception as error:
        raise TraitLoadError(f"cannot download the model {source}: {error}") from error
