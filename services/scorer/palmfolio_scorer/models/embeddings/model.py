"""A sentence-transformers model: its modules, as the library applies them."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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
from palmfolio_scorer.models.embeddings.texts import FEATURES, PREFIX_TOKENS, Role, texts_of
from palmfolio_scorer.models.files import TraitLoadError, locate, model_revision
from palmfolio_scorer.models.model import DeviceModel, Encoded, ModelInput, ModelOptions
from palmfolio_scorer.models.sources import PICKLES

if TYPE_CHECKING:
    import torch

    from palmfolio_scorer.models.packed.form import Forward

_DOCUMENT_NAMES = ("document", "passage", "corpus")
"""The library's names for the prefix of documents, the first that a model has counts."""


class EmbeddingModel(DeviceModel):
    """A sentence-transformers model: all of its modules, and its own prefixes (`prompts`).

    A folder without `modules.json` is a Transformer alone: the library adds mean pooling, or takes
    the last token of a causal language model.

    An input is `(text,)`, or `(text, prefix, role)`; `side` gives prefix and role. An output is the
    text's embedding (K,).
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
        # Modules after the Transformer are loaded in the number format of their files.
        self._model: Any = model.to(torch_dtype(self.dtype)).eval()
        self._name = options.model
        self.revision = model_revision(source, None)
        self._texts = texts_of(model, options)
        use_onednn(self._model, device)
        self._packed = self._packed_form()
        self.pads = self._packed is None

    def side(
        self, role: Role, *, prefix: str | None = None, name: str | None = None
    ) -> tuple[str, Role]:
        """The prefix of texts, and their role, as the library would choose them.

        Args:
            role: `text` for the library's `encode`, `query` for `encode_query`, `document` for
                `encode_document`.
            prefix: a prefix, which takes precedence.
            name: the name of one of the model's prefixes.

        Raises:
            TraitLoadError: the model has no prefix of that name.
        """
        names: dict[str, str] = self._model.prompts
        effective: Role = role if self._texts.by_role else "text"
        if prefix is not None:
            return prefix, effective
        if name is None:
            name = {
                "text": self._model.default_prompt_name,
                "query": "query" if "query" in names else None,
                "document": next((each for each in _DOCUMENT_NAMES if names.get(each)), None),
            }[role]
        if name is not None and name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise TraitLoadError(f"the model {self._name} has no prefix {name!r}; it has {known}")
        return (names[name] or "" if name is not None else ""), effective

    @property
    def tells_queries_apart(self) -> bool:
        """Whether the model embeds queries and documents differently, and has no default prefix."""
        if self._model.default_prompt_name is not None:
            return False
        return self._texts.by_role or self.side("query")[0] != self.side("document")[0]

    def encode(self, inputs: Sequence[ModelInput]) -> list[Encoded]:
        """Tokenises texts."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, (_, *side) in enumerate(inputs):
            groups.setdefault(tuple(side) or ("", "text"), []).append(i)
        encoded: dict[int, Encoded] = {}
        for (prefix, role), positions in groups.items():
            texts = [inputs[i][0] for i in positions]
            rows = self._texts.encode(texts, prefix, cast(Role, role))
            encoded.update(zip(positions, rows, strict=True))
        return [encoded[i] for i in range(len(inputs))]

    def forward(self, batch: Sequence[Encoded]) -> npt.NDArray[np.float32]:
        """Embeddings (B, K)."""
        import torch

        with torch.inference_mode():
            embeddings = self._embeddings(batch)
            if self._model.truncate_dim is not None:
                embeddings = embeddings[:, : self._model.truncate_dim]
            result: npt.NDArray[np.float32] = embeddings.float().cpu().numpy()
        return result

    def _embeddings(self, batch: Sequence[Encoded]) -> "torch.Tensor":
        import torch

        # The library's pooling takes one length of prefix a batch.
        groups: dict[object, list[int]] = {}
        for i, each in enumerate(batch):
            own = i if FEATURES in each.extra else None
            groups.setdefault((own, each.extra.get(PREFIX_TOKENS)), []).append(i)
        parts, order = [], []
        for positions in groups.values():
            chosen = [batch[i] for i in positions]
            alone = FEATURES in chosen[0].extra
            form = self._one if alone else (self._packed or self._padded)
            parts.append(form(chosen))
            order += positions
        return torch.cat(parts)[torch.argsort(torch.tensor(order))] if parts[1:] else parts[0]

    def _one(self, batch: Sequence[Encoded]) -> "torch.Tensor":
        """The embedding (1, K) of one text whose features the library made."""
        (encoded,) = batch
        features = {
            name: value.to(self.device) if hasattr(value, "to") else value
            for name, value in encoded.extra[FEATURES].items()
        }
        role = encoded.extra.get("role", "text")
        arguments = {} if role == "text" else {"task": role}
        embeddings: torch.Tensor = self._model.forward(features, **arguments)["sentence_embedding"]
        return embeddings

    def _padded(self, batch: Sequence[Encoded]) -> "torch.Tensor":
        features: dict[str, Any] = batch_tensors(
            batch, self._model.tokenizer.pad_token_id or 0, self.device
        )
        if all("types" in encoded.extra for encoded in batch):
            types = pad([encoded.extra["types"] for encoded in batch], 0)
            features["token_type_ids"] = to_device(types, self.device)
        features |= _prefix_tokens(batch)
        features["modality"] = next(iter(self._model[0].modality_config))
        embeddings: torch.Tensor = self._model.forward(features)["sentence_embedding"]
        return embeddings

    def _packed_form(self) -> "Forward | None":
        """The Transformer runs packed; pooling and later modules get their usual padded form."""
        import torch
        from sentence_transformers.base.modules import Transformer
        from torch.nn.utils.rnn import pad_sequence

        from palmfolio_scorer.models.packed.form import adopt, arguments_of, positions_of
        from palmfolio_scorer.models.packed.sequences import pack, packed

        transformer, *rest = self._model
        if not isinstance(transformer, Transformer):
            return None
        body = transformer.auto_model
        positions = positions_of(body)
        takes_types = "token_type_ids" in inspect.signature(body.forward).parameters

        def embeddings(batch: Sequence[Encoded]) -> torch.Tensor:
            sequences = pack(batch, [()] * len(batch), self.device, positions=positions)
            with packed(sequences):
                arguments = arguments_of(sequences)
                if not takes_types:
                    arguments.pop("token_type_ids", None)
                hidden = body(**arguments).last_hidden_state[0]
            lengths = [len(encoded.ids) for encoded in batch]
            tokens = hidden.split(lengths)
            mask = [torch.ones(n, dtype=torch.int64, device=hidden.device) for n in lengths]
            features: dict[str, Any] = {
                "token_embeddings": pad_sequence(list(tokens), batch_first=True),
                "attention_mask": pad_sequence(mask, batch_first=True),
                **_prefix_tokens(batch),
            }
            for module in rest:
                features = module(features)
            result: torch.Tensor = features["sentence_embedding"]
            return result

        with torch.inference_mode():
            return adopt(body, embeddings, self._padded, {})

    def memory_bytes(self) -> int:
        """Bytes that the weights take."""
        return memory_of(self._model)

    def release(self) -> None:
        """Releases cached device memory."""
        release_cache(self.device)


def _prefix_tokens(batch: Sequence[Encoded]) -> dict[str, int]:
    """The feature of the pooling that leaves the prefix out; it is the same in the whole batch."""
    length = batch[0].extra.get(PREFIX_TOKENS)
    return {} if length is None else {"prompt_length": length}


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
