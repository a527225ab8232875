"""A classifier or reward model on a device, served only in a form that was tried."""

import inspect
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from palmfolio_runtime.logs import get_logger
from palmfolio_scorer.models.classifiers.limits import (
    position_limit,
    position_tables,
    token_types,
)
from palmfolio_scorer.models.classifiers.loading import ClassifierOptions, load_classifier
from palmfolio_scorer.models.device import (
    batch_tensors,
    is_cpu,
    memory_of,
    pad,
    release_cache,
    resolve_dtype,
    to_device,
)
from palmfolio_scorer.models.files import TraitLoadError, locate, model_revision
from palmfolio_scorer.models.model import DeviceModel, Encoded, ModelInput
from palmfolio_scorer.models.tokens.tokeniser import LimitedTokeniser
from palmfolio_scorer.samples import SampleError

if TYPE_CHECKING:
    import torch

    from palmfolio_scorer.models.packed.form import Forward

_log = get_logger(__name__)

RENDERED = "rendered"
"""First part of an input whose special tokens a chat template has already written."""

_HEADS = ("logits", "rewards")
"""Outputs that are read, in this order; reward models with several objectives have `rewards`."""
_TRIALS = (
    "How do I bake bread?",
    "Yes.",
    "Knead flour, water and yeast, wait for an hour, then bake the bread in a hot oven.",
)
_LONGEST_TRIAL = 1024
"""Tokens; a model with learned positions is tried at its limit if that is not above this."""


class ClassifierModel(DeviceModel):
    """Any Transformers model for sequence classification, or safe-rlhf score model.

    An input is `(text,)`, a pair `(left, right)`, or `(RENDERED, text, "")` for a text that a chat
    template wrote. An output is the values of all heads (K,), one after another: `heads` says
    which.

    Attributes:
        heads: positions of the heads' values in an output, by name: `logits`, and `rewards` where
            the model has several objectives.
        labels: positions of the logits, by name.
        tokeniser: the model's own; it writes templates.
    """

    def __init__(self, options: ClassifierOptions, device: str) -> None:
        """
        Raises:
            TraitLoadError: the model or its tokeniser cannot be loaded, weights are missing, or a
                whole forward pass fails.
        """
        source = locate(options)
        self.device = device
        self.dtype = resolve_dtype(options.dtype, device)
        self._padding = threading.Lock()
        model, tokenizer = load_classifier(source, options, self.dtype)
        self._hold(model)
        self.revision = model_revision(source, getattr(model.config, "_commit_hash", None))
        self.tokeniser = LimitedTokeniser(
            tokenizer,
            max_tokens=options.max_tokens,
            model_limit=position_limit(model),
            overflow=options.overflow,
            vocabulary=self._embeddings,
        )
        trial, expected = self._tried(options.model)
        names = {str(name): int(i) for name, i in (model.config.label2id or {}).items()}
        self.labels = names if len(names) == self.heads["logits"].stop else {}
        if is_cpu(device):
            self._lay_out(trial, expected, lambda: load_classifier(source, options, self.dtype)[0])
        self._form = self._form_like(trial, expected)
        self.pads = self._form == self._padded

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
                encoded[i] = self._with_known_types(row)
        return [row for row in encoded if row is not None]

    def forward(self, batch: Sequence[Encoded]) -> npt.NDArray[np.float32]:
        """The heads' values (B, K)."""
        import torch

        with torch.inference_mode():
            result: npt.NDArray[np.float32] = self._form(batch).float().cpu().numpy()
        return result

    def memory_bytes(self) -> int:
        """Bytes that the weights take."""
        return memory_of(self._model)

    def release(self) -> None:
        """Releases cached device memory."""
        release_cache(self.device)

    def _hold(self, model: Any) -> None:
        """Puts a loaded model on the device, and notes what it can read."""
        self._model = model.to(self.device).eval()
        self._text_config = model.config.get_text_config()
        self._embeddings = int(model.get_input_embeddings().num_embeddings)
        # None where the model reads the last token of a row, whatever it is: no padding token.
        own = self._text_config.pad_token_id
        self._pad_id: int | None = own if own is not None and own < self._embeddings else None
        accepted = inspect.signature(model.forward).parameters
        self._takes_types = "token_type_ids" in accepted
        self._types = token_types(model)
        self._options = {"use_cache": False} if "use_cache" in accepted else {}

    def _with_known_types(self, encoded: Encoded) -> Encoded:
        types = encoded.extra.get("types")
        if types is None or not self._takes_types:
            return Encoded(encoded.ids, {}, encoded.cut)
        if self._types is not None and max(types) >= self._types:
            raise SampleError(
                f"has texts of {max(types) + 1} types; the model tells {self._types} apart"
            )
        return encoded

    def _tried(self, name: str) -> tuple[list[Encoded], "torch.Tensor"]:
        """A few inputs with their outputs, one at a time: the reference of every other form.

        Raises:
            TraitLoadError: a whole forward pass fails, or its outputs are no classifier's.
        """
        import torch

        texts = list(_TRIALS)
        if position_tables(self._model) and self.tokeniser.max_tokens <= _LONGEST_TRIAL:
            texts.append("bread " * self.tokeniser.max_tokens)
        trial: list[Encoded] = []
        reason = "no text is short enough"
        for text in texts:
            try:
                trial += self.encode([(text,)])
            except SampleError as error:  # a limit of a few tokens, with `overflow: fail`
                reason = error.failure.message
        if not trial:
            raise TraitLoadError(f"the model {name} reads no text: a text {reason}")
        try:
            with torch.inference_mode():
                first = self._outputs(trial[:1])
                widths = {head: values.shape[1] for head, values in first.items()}
                ends = np.cumsum(list(widths.values())).tolist()
                self.heads = {
                    head: slice(end - width, end)
                    for (head, width), end in zip(widths.items(), ends, strict=True)
                }
                expected = self._singly(trial).float()
        except Exception as error:
            raise TraitLoadError(
                f"the model {name} cannot be used: a forward pass fails with "
                f"{type(error).__name__}: {error}"
            ) from error
        if not bool(expected.isfinite().all()):
            raise TraitLoadError(
                f"the model {name} cannot be used: in {self.dtype} its outputs are not finite"
            )
        return trial, expected

    def _lay_out(
        self, trial: list[Encoded], expected: "torch.Tensor", again: Callable[[], Any]
    ) -> None:
        """Lays the linear layers out for the CPU; where that fails, the model is loaded again."""
        from palmfolio_scorer.models.onednn import use_onednn

        use_onednn(self._model, self.device)
        if not self._agrees(self._singly, trial, expected):
            self._hold(again())

    def _form_like(self, trial: list[Encoded], expected: "torch.Tensor") -> "Forward":
        """The fastest form whose outputs are those of one input at a time."""
        import torch

        from palmfolio_scorer.models.packed.classifier import packed_classifier

        padded = self._padded if self._agrees(self._padded, trial, expected) else None
        with torch.inference_mode():
            packed = packed_classifier(self._model, self._singly, self._pad_id, self.device)
        return packed or padded or self._singly

    def _agrees(self, form: "Forward", trial: Sequence[Encoded], expected: "torch.Tensor") -> bool:
        import torch

        from palmfolio_scorer.models.packed.form import agree

        try:
            with torch.inference_mode():
                outputs = form(trial).float()
        except Exception as error:
            _log.info("a form of the model fails", reason=f"{type(error).__name__}: {error}")
            return False
        return agree(outputs, expected, next(self._model.parameters()).dtype)

    def _singly(self, batch: Sequence[Encoded]) -> "torch.Tensor":
        """Values (B, K), each input computed alone: for models that mix up a batch's rows."""
        import torch

        return torch.cat([self._padded([encoded]) for encoded in batch])

    def _padded(self, batch: Sequence[Encoded]) -> "torch.Tensor":
        """Values (B, K) of a padded batch."""
        import torch

        return torch.cat(list(self._outputs(batch).values()), 1)

    def _outputs(self, batch: Sequence[Encoded]) -> "dict[str, torch.Tensor]":
        """The values (B, K) of each head, for a padded batch."""
        padding = self._padding_for(batch)
        tensors = batch_tensors(batch, padding, self.device)
        if all("types" in encoded.extra for encoded in batch):
            types = pad([encoded.extra["types"] for encoded in batch], 0)
            tensors["token_type_ids"] = to_device(types, self.device)
        if self._pad_id is not None:
            output = self._model(**tensors, **self._options)
        else:
            with self._padding:  # the padding token is state of the model, and each batch has one
                self._text_config.pad_token_id = self._model.config.pad_token_id = padding
                output = self._model(**tensors, **self._options)
        values = {name: getattr(output, name, None) for name in _HEADS}
        return {
            name: _rows(tensor, len(batch), name)
            for name, tensor in values.items()
            if tensor is not None
        }

    def _padding_for(self, batch: Sequence[Encoded]) -> int:
        """The padding token of a batch.

        A decoder reads its answer at the last token that is not padding. Where none is declared,
        any id will do that no row ends with.
        """
        if self._pad_id is not None:
            return self._pad_id
        last = {encoded.ids[-1] for encoded in batch}
        return next(i for i in range(len(last) + 1) if i not in last)


def _rows(values: "torch.Tensor", count: int, name: str) -> "torch.Tensor":
    """A head's values as (B, K); models with one value a text may leave K out.

    Raises:
        ValueError: there is not one row a text.
    """
    if values.numel() == count and values.ndim <= 1:
        return values.reshape(count, 1)
    if values.ndim != 2 or len(values) != count:
        raise ValueError(f"{name} of the shape {tuple(values.shape)} for {count} texts")
    return values
