"""Reward models and classifiers: from a text, or a pair of texts, to logits."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from palmfolio_scorer.models.device import (
    batch_tensors,
    memory_of,
    pad,
    release_cache,
    resolve_dtype,
    to_device,
    torch_dtype,
)
from palmfolio_scorer.models.files import TraitLoadError, locate, model_revision
from palmfolio_scorer.models.model import DeviceModel, Encoded, ModelInput, ModelOptions
from palmfolio_scorer.models.score_head import has_score_head, load_score_head_model
from palmfolio_scorer.models.tokens.tokeniser import LimitedTokeniser

if TYPE_CHECKING:
    import torch

    from palmfolio_scorer.models.packed.form import Forward

RENDERED = "rendered"
"""First part of an input whose special tokens a chat template has already written."""


class ClassifierModel(DeviceModel):
    """Any Transformers model for sequence classification, or safe-rlhf score model.

    An input is `(text,)`, a pair `(left, right)`, or `(RENDERED, text, "")` for a text that a chat
    template wrote. An output is the logits (K,), K = `num_labels`.

    Attributes:
        num_labels: the number of logits.
        labels: positions of the logits, by name.
        tokeniser: the model's own; it writes templates.
    """

    def __init__(self, options: ModelOptions, device: str) -> None:
        """
        Raises:
            TraitLoadError: the model or its tokeniser cannot be loaded, or weights are missing.
        """
        from palmfolio_scorer.models.onednn import use_onednn

        source = locate(options)
        self.device = device
        self.dtype = resolve_dtype(options.dtype, device)
        self._model, tokenizer = _load(source, options, self.dtype)
        self._model.to(device).eval()
        config = self._model.config
        self.revision = model_revision(source, getattr(config, "_commit_hash", None))
        self.num_labels = int(config.num_labels)
        self.labels = {str(name): int(i) for name, i in (config.label2id or {}).items()}
        self._text_config = config.get_text_config()
        self.tokeniser = LimitedTokeniser(
            tokenizer,
            max_tokens=options.max_tokens,
            model_limit=getattr(self._text_config, "max_position_embeddings", None),
            overflow=options.overflow,
            vocabulary=self._model.get_input_embeddings().num_embeddings,
        )
        # None where the model reads the last token of a row, whatever it is: no padding token.
        self._pad_id: int | None = self._text_config.pad_token_id
        self._padding = threading.Lock()
        use_onednn(self._model, device)
        self._packed = self._packed_form()
        self.pads = self._packed is None

    def encode(self, inputs: Sequence[ModelInput]) -> list[Encoded]:
        """Tokenises texts, pairs and rendered chats."""
        encoded: list[Encoded | None] = [None] * len(inputs)
        # A tokeniser takes single texts or pairs, not both in one call.
        groups: dict[int, list[int]] = {}
        for i, parts in enumerate(inputs):
            groups.setdefault(len(parts), []).append(i)
        for size, positions in groups.items():
            chosen = [inputs[i] for i in positions]
            if size == 1:
                rows = self.tokeniser([parts[0] for parts in chosen])
            elif size == 2:
                rows = self.tokeniser(chosen)
            else:
                rows = self.tokeniser([parts[1] for parts in chosen], special_tokens=False)
            for i, row in zip(positions, rows, strict=True):
                encoded[i] = row
        return [row for row in encoded if row is not None]

    def forward(self, batch: Sequence[Encoded]) -> npt.NDArray[np.float32]:
        """Logits (B, K)."""
        import torch

        with torch.inference_mode():
            logits = (self._packed or self._padded_logits)(batch)
            result: npt.NDArray[np.float32] = logits.float().cpu().numpy()
        return result

    def _padded_logits(self, batch: Sequence[Encoded]) -> "torch.Tensor":
        """Logits (B, K) of a padded batch."""
        padding = self._padding_for(batch)
        tensors = batch_tensors(batch, padding, self.device)
        if all("types" in encoded.extra for encoded in batch):
            types = pad([encoded.extra["types"] for encoded in batch], 0)
            tensors["token_type_ids"] = to_device(types, self.device)
        if self._pad_id is not None:
            return self._logits(tensors)
        with self._padding:  # the padding token is state of the model, and this batch has its own
            self._text_config.pad_token_id = self._model.config.pad_token_id = padding
            return self._logits(tensors)

    def _logits(self, tensors: "dict[str, torch.Tensor]") -> "torch.Tensor":
        logits: torch.Tensor = self._model(**tensors).logits
        return logits

    def _packed_form(self) -> "Forward | None":
        import torch

        from palmfolio_scorer.models.packed.classifier import packed_classifier

        with torch.inference_mode():
            return packed_classifier(self._model, self._padded_logits, self._pad_id, self.device)

    def memory_bytes(self) -> int:
        """Bytes that the weights take."""
        return memory_of(self._model)

    def release(self) -> None:
        """Releases cached device memory."""
        release_cache(self.device)

    def _padding_for(self, batch: Sequence[Encoded]) -> int:
        """The padding token of a batch.

        A decoder reads its answer at the last token that is not padding. Where none is declared,
        any id will do that no row ends with.
        """
        if self._pad_id is not None:
            return self._pad_id
        last = {encoded.ids[-1] for encoded in batch}
        return next(i for i in range(len(last) + 1) if i not in last)


def _load(source: str, options: ModelOptions, dtype: str) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    hub = {"revision": options.revision, "trust_remote_code": options.trust_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **hub)
        config = AutoConfig.from_pretrained(source, **hub)
        if has_score_head(config):
            return load_score_head_model(source, config, torch_dtype(dtype), hub), tokenizer
        model, report = AutoModelForSequenceClassification.from_pretrained(
            source, dtype=torch_dtype(dtype), output_loading_info=True, use_safetensors=True, **hub
        )
    except TraitLoadError:
        raise
    except Exception as error:
        raise TraitLoadError(f"cannot load the model {options.model}: {error}") from error
    if missing := sorted(report["missing_keys"]):
        raise TraitLoadError(
            f"the model {options.model} has no {', '.join(missing[:3])}: it is not a "
            f"trained classifier or reward model, its rewards would be random ({Path(source).name})"
        )
    return model, tokenizer
