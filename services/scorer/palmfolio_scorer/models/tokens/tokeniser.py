"""A model's tokeniser with the model's limits, for any thread."""

import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.model import Encoded
from palmfolio_scorer.models.tokens.control import ControlTokens
from palmfolio_scorer.models.tokens.fast import FastTokens
from palmfolio_scorer.models.tokens.slow import SlowTokens
from palmfolio_scorer.samples import SampleError


class LimitedTokeniser:
    """A Transformers tokeniser that cuts or refuses inputs longer than `max_tokens`.

    Control tokens act only where a template writes them: in texts of `written` and `chat`. In any
    other text `</s>` is four characters.

    Attributes:
        tokenizer: the tokeniser of Transformers.
        max_tokens: tokens of one input at most, special ones included.

    Example:
        The `</s>` of the template ends the input, and that of the response does not:

            text = tokeniser.written("{response}</s>").replace("{response}", "fine</s>")
            (encoded,) = tokeniser([text])
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        max_tokens: int | None,
        model_limit: int | None,
        overflow: Literal["truncate", "truncate_left", "fail"],
        vocabulary: int | None = None,
    ) -> None:
        """
        Args:
            tokenizer: a tokeniser of Transformers.
            max_tokens: tokens of one input at most; None means the model's limit.
            model_limit: the number of positions of the model; None if it has no limit.
            overflow: what happens to longer inputs.
            vocabulary: the number of the model's token embeddings; None checks no ids.

        Raises:
            TraitLoadError: the tokeniser gives texts ids that the model has no embedding for, or
                `max_tokens` leaves no room for a text.
        """
        self.tokenizer = tokenizer
        limits = [max_tokens, model_limit, tokenizer.model_max_length]
        self.max_tokens = min(limit for limit in [*limits, sys.maxsize] if limit is not None)
        self._overflow = overflow
        self._vocabulary = vocabulary
        tokenizer.truncation_side = "left" if overflow == "truncate_left" else "right"
        self._with_types = "token_type_ids" in tokenizer.model_input_names
        self._control = ControlTokens(tokenizer)
        kind = FastTokens if tokenizer.is_fast else SlowTokens
        try:
            self._tokens = kind(tokenizer, self._control)
        except ValueError as error:
            raise TraitLoadError(str(error)) from error
        # A fast tokeniser keeps its truncation as state, and fails ("Already borrowed") when two
        # threads use it at the same time.
        self._lock = threading.Lock()
        self._check_limits()

    def written(self, template: str) -> str:
        """A text that the trait's author wrote, in the form in which its control tokens act.

        Fields such as `{response}` stay, and are filled afterwards.
        """
        return self._control.activated(template)

    def chat(self, turns: Sequence[Mapping[str, str]], **options: Any) -> str:
        """A conversation as the chat template writes it; only its own control tokens act.

        Encode it without special tokens: the template has written them.

        Args:
            turns: messages with `role` and `content`.
            options: of Transformers' `apply_chat_template`, for example `add_generation_prompt`.
        """
        return self._control.chat(self.tokenizer, turns, **options)

    def ids(self, text: str) -> list[int]:
        """The token ids of a text of any length, without special tokens.

        Raises:
            SampleError: an id has no embedding.
        """
        with self._lock:
            ((ids, _),) = self._tokens.encode([text], None, False)
        self._check_ids(ids)
        return ids

    def __call__(
        self, texts: Sequence[str] | Sequence[tuple[str, ...]], *, special_tokens: bool = True
    ) -> list[Encoded]:
        """Encodes texts or pairs of texts.

        Raises:
            SampleError: an input is empty, has an id without an embedding, or is longer than
                `max_tokens` while `overflow` is `fail`.
        """
        with self._lock:
            rows = self._tokens.encode(texts, None, special_tokens)
            lengths = [len(ids) for ids, _ in rows]
            long = [i for i, length in enumerate(lengths) if length > self.max_tokens]
            if long and self._overflow == "fail":
                raise SampleError(
                    f"has {lengths[long[0]]} tokens; the model takes at most {self.max_tokens}"
                )
            if long:
                cut = self._tokens.encode([texts[i] for i in long], self.max_tokens, special_tokens)
                for i, row in zip(long, cut, strict=True):
                    rows[i] = row
        for ids, _ in rows:
            self._check_ids(ids)
            if not ids:
                raise SampleError("is empty: it has no tokens, and the model adds none")
        return [
            Encoded(ids, {"types": types} if self._with_types else {}, length - len(ids))
            for (ids, types), length in zip(rows, lengths, strict=True)
        ]

    def _check_ids(self, ids: Sequence[int]) -> None:
        if self._vocabulary is not None and ids and max(ids) >= self._vocabulary:
            token = self.tokenizer.convert_ids_to_tokens(max(ids))
            raise SampleError(
                f"has the token {token!r} with the id {max(ids)}; the model's ids end at "
                f"{self._vocabulary - 1}"
            )

    def _check_limits(self) -> None:
        special = self.tokenizer.num_special_tokens_to_add(pair=False)
        if self.max_tokens <= special:
            raise TraitLoadError(
                f"{self.max_tokens} tokens leave no room for a text: the tokeniser adds {special}"
            )
        if self._vocabulary is None:
            return
        # Only templates write control tokens, and each sample's ids are checked.
        ordinary = self._tokens.vocabulary().items() - self._control.ids.items()
        token, last = max(ordinary, key=lambda item: item[1], default=("", -1))
        if last >= self._vocabulary:
            raise TraitLoadError(
                f"the tokeniser is not the model's: it has the token {token!r} with the id {last}, "
                f"and the model's ids end at {self._vocabulary - 1}"
            )
