"""Causal language models: the log-probability of a completion, or of the next token."""

from collections.abc import Sequence
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
from palmfolio_scorer.models.tokens.tokeniser import LimitedTokeniser
from palmfolio_scorer.samples import SampleError

if TYPE_CHECKING:
    import torch

    from palmfolio_scorer.models.packed.form import Forward

COMPLETION, NEXT = "completion", "next"
"""First part of an input: the question asked about it."""
CHATS = {COMPLETION: "completion in a chat", NEXT: "next in a chat"}
"""The same questions about a context that a chat template wrote, special tokens included."""

# Bytes that the float32 logits of one batch may take: vocabularies are large.
_LOGIT_BYTES = {"cpu": 2**28, "cuda": 2**31}


class LanguageModel(DeviceModel):
    """A causal language model.

    Inputs and their outputs (2,):

    - `(COMPLETION, context, completion)`: the completion's summed log-probability in nats, and its
      number of tokens. The two texts are tokenised separately and joined, as in generation.
    - `(NEXT, context, yes, no)`: the log-probabilities that the next token begins `yes`, or `no`.

    A context begins with the tokens that the tokeniser itself puts before a text, a BOS token for
    example; in the questions of `CHATS` the template has written them.
    """

    def __init__(self, options: ModelOptions, device: str) -> None:
        """
        Raises:
            TraitLoadError: the model or its tokeniser cannot be loaded.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from palmfolio_scorer.models.onednn import use_onednn

        source = locate(options)
        self.device = device
        self.dtype = resolve_dtype(options.dtype, device)
        hub = {"revision": options.revision, "trust_remote_code": options.trust_remote_code}
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(source, **hub)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source,
                dtype=torch_dtype(self.dtype),
                output_loading_info=True,
                use_safetensors=True,
                **hub,
            )
            model, report = loaded
        except Exception as error:
            raise TraitLoadError(f"cannot load the model {options.model}: {error}") from error
        if missing := sorted(report["missing_keys"]):
            raise TraitLoadError(f"the model {options.model} has no {', '.join(missing[:3])}")
        self._model: Any = model.to(device).eval()
        config = self._model.config.get_text_config()
        self.revision = model_revision(source, getattr(self._model.config, "_commit_hash", None))
        limit = getattr(config, "max_position_embeddings", None) or 2**31
        self._max_tokens = min(options.max_tokens or limit, limit)
        self.tokeniser = LimitedTokeniser(
            tokenizer,
            max_tokens=options.max_tokens,
            model_limit=limit,
            overflow=options.overflow,
            vocabulary=self._model.get_input_embeddings().num_embeddings,
        )
        self._overflow = options.overflow
        self._beginning = _beginning(tokenizer)
        use_onednn(self._model, device)
        self._packed = self._packed_form()
        self.pads = self._packed is None
        self.max_batch_tokens = max(
            1, _LOGIT_BYTES[device.split(":")[0]] // (4 * int(config.vocab_size))
        )

    def encode(self, inputs: Sequence[ModelInput]) -> list[Encoded]:
        """Tokenises contexts and completions."""
        return [self._encode_one(parts) for parts in inputs]

    def forward(self, batch: Sequence[Encoded]) -> npt.NDArray[np.float32]:
        """Outputs (B, 2)."""
        import torch

        with torch.inference_mode():
            outputs = (self._packed or self._padded)(batch)
            result: npt.NDArray[np.float32] = outputs.cpu().numpy()
        return result

    def _padded(self, batch: Sequence[Encoded]) -> "torch.Tensor":
        import torch

        logits = self._model(**batch_tensors(batch, 0, self.device)).logits
        rows = zip(logits, batch, strict=True)
        return torch.stack(
            [_output(row[_read_positions(encoded)].float(), encoded) for row, encoded in rows]
        )

    def _packed_form(self) -> "Forward | None":
        import torch

        from palmfolio_scorer.models.packed.form import adopt, arguments_of
        from palmfolio_scorer.models.packed.sequences import pack, packed

        def outputs(batch: Sequence[Encoded]) -> torch.Tensor:
            positions = [_read_positions(encoded) for encoded in batch]
            sequences = pack(batch, positions, self.device)
            with packed(sequences):
                arguments = arguments_of(sequences)
                output = self._model(
                    **arguments, use_cache=False, logits_to_keep=sequences.read_positions
                )
            logits = output.logits[0].split([len(own) for own in positions])
            return torch.stack(
                [_output(own.float(), encoded) for own, encoded in zip(logits, batch, strict=True)]
            )

        with torch.inference_mode():
            return adopt(self._model, outputs, self._padded, {"start": 1})

    def memory_bytes(self) -> int:
        """Bytes that the weights take."""
        return memory_of(self._model)

    def release(self) -> None:
        """Releases cached device memory."""
        release_cache(self.device)

    def first_token(self, text: str) -> int:
        """The first token of an answer.

        Raises:
            TraitLoadError: the text has no tokens.
        """
        ids = self._ids(self.tokeniser.written(text))
        if not ids:
            raise TraitLoadError(f"the answer {text!r} has no tokens")
        return ids[0]

    def _encode_one(self, parts: ModelInput) -> Encoded:
        question, context, *rest = parts
        beginning = [] if question in CHATS.values() else self._beginning
        context_ids = beginning + self._ids(context) or [self._begin()]
        if question in (NEXT, CHATS[NEXT]):
            answers = [self.first_token(answer) for answer in rest]
            ids = self._cut(context_ids, 0, len(beginning))
            return Encoded(ids, {"answers": answers}, len(context_ids) - len(ids))
        completion = self._ids(rest[0])
        if not completion:
            raise SampleError("is empty: it has no log-probability", field="response")
        ids = self._cut(context_ids, len(completion), len(beginning)) + completion
        if len(ids) == len(completion):
            raise SampleError(f"leaves no room for the prompt in {self._max_tokens} tokens")
        cut = len(context_ids) + len(completion) - len(ids)
        return Encoded(ids, {"start": len(ids) - len(completion)}, cut)

    def _cut(self, context: list[int], completion: int, beginning: int) -> list[int]:
        """The context, cut after its `beginning` tokens where it is too long for the completion.

        Raises:
            SampleError: it is too long and must not be cut, or no token of it fits.
        """
        limit = self._max_tokens - completion
        if len(context) <= limit:
            return context
        if self._overflow == "fail" or limit < 1:
            raise SampleError(
                f"has {len(context) + completion} tokens; the model takes at most "
                f"{self._max_tokens}"
            )
        kept = beginning if limit > beginning else 0
        return context[:kept] + context[len(context) - limit + kept :]

    def _ids(self, text: str) -> list[int]:
        return self.tokeniser.ids(text)

    def _begin(self) -> int:
        tokenizer = self.tokeniser.tokenizer
        begin = tokenizer.bos_token_id
        return int(begin if begin is not None else tokenizer.eos_token_id or 0)


def _beginning(tokenizer: Any) -> list[int]:
    """The tokens that a tokeniser puts before a text; what it puts after one is left out."""
    text = "a"
    plain: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    framed: list[int] = tokenizer(text)["input_ids"]
    for start in range(len(framed) - len(plain) + 1):
        if framed[start : start + len(plain)] == plain:
            return framed[:start]
    return []


def _read_positions(encoded: Encoded) -> range:
    """Positions of the tokens whose next-token predictions are read."""
    last = len(encoded.ids) - 1
    return range(last, last + 1) if "answers" in encoded.extra else range(_start(encoded) - 1, last)


def _start(encoded: Encoded) -> int:
    start: int = encoded.extra["start"]
    return start


def _output(logits: "torch.Tensor", encoded: Encoded) -> "torch.Tensor":
    """The output (2,) for one input, from float32 `logits` (R, V) at its `_read_positions`."""
    import torch

    predictions = torch.log_softmax(logits, -1)
    if "answers" in encoded.extra:
        return predictions[-1][encoded.extra["answers"]]
    targets = torch.tensor(encoded.ids[_start(encoded) :], device=logits.device)
    total = predictions.gather(1, targets[:, None]).sum()
    return torch.stack([total, torch.full_like(total, float(len(targets)))])
