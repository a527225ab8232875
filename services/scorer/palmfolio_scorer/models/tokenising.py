"""A tokeniser with a limit, for any thread."""

import sys
import threading
from collections.abc import Sequence
from typing import Any, Literal

from palmfolio_scorer.models.model import Encoded
from palmfolio_scorer.samples import SampleError

# For a tokeniser without a limit Transformers reports a number far above this.
_NO_LIMIT = 10**9


class LimitedTokeniser:
    """A Transformers tokeniser that cuts or refuses inputs longer than `max_tokens`.

    Attributes:
        max_tokens: tokens of one input at most, special ones included.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        max_tokens: int | None,
        model_limit: int | None,
        overflow: Literal["truncate", "truncate_left", "fail"],
    ) -> None:
        """`model_limit` is the number of positions of the model; None if it has no limit."""
        self.tokenizer = tokenizer
        limits = [max_tokens, model_limit, tokenizer.model_max_length]
        self.max_tokens = min(limit for limit in [*limits, sys.maxsize] if limit is not None)
        self._overflow = overflow
        tokenizer.truncation_side = "left" if overflow == "truncate_left" else "right"
        # A fast tokeniser keeps its truncation as state, and fails ("Already borrowed") when two
        # threads use it at the same time.
        self._lock = threading.Lock()

    def __call__(
        self, texts: Sequence[str] | Sequence[tuple[str, ...]], *, special_tokens: bool = True
    ) -> list[Encoded]:
        """Encodes texts or pairs of texts.

        Raises:
            SampleError: an input is empty, or longer than `max_tokens` while `overflow` is `fail`.
        """
        limited = self.max_tokens < _NO_LIMIT and self._overflow != "fail"
        with self._lock:
            encoded = self.tokenizer(
                list(texts),
                add_special_tokens=special_tokens,
                truncation=limited,
                max_length=self.max_tokens if limited else None,
                return_attention_mask=False,
                verbose=False,
            )
        types = encoded.get("token_type_ids") or [()] * len(texts)
        for ids in encoded["input_ids"]:
            if len(ids) > self.max_tokens:
                raise SampleError(
                    f"has {len(ids)} tokens; the model takes at most {self.max_tokens}"
                )
            if not ids:
                raise SampleError("is empty: it has no tokens, and the model adds none")
        return [
            Encoded(ids, {"types": kinds} if len(kinds) else {})
            for ids, kinds in zip(encoded["input_ids"], types, strict=True)
        ]
