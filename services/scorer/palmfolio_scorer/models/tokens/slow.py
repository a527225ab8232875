"""Tokenisers written in Python, which split a text at control tokens themselves."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from palmfolio_scorer.models.tokens.control import ControlTokens
from palmfolio_scorer.samples import SampleError


class SlowTokens:
    """Tokenises texts and pairs whose control tokens have their secret names. Not thread-safe."""

    def __init__(self, tokenizer: Any, control: ControlTokens) -> None:
        self._tokenizer, self._control = tokenizer, control
        self._names = re.compile("|".join(map(re.escape, control.ids)) or r"(?!)")
        self._unknown = tokenizer.unk_token_id

    def encode(
        self, inputs: Sequence[Any], limit: int | None, special_tokens: bool
    ) -> list[tuple[list[int], list[int]]]:
        """Token ids and token types of each text or pair, cut to `limit` tokens.

        Raises:
            SampleError: the tokeniser can only read a control token's text as the control token.
        """
        rows = []
        for parts in inputs:
            texts = [parts] if isinstance(parts, str) else list(parts)
            row = self._tokenizer.prepare_for_model(
                *(self._ids(text) for text in texts),
                add_special_tokens=special_tokens,
                truncation=limit is not None,
                max_length=limit,
                return_token_type_ids=True,
                verbose=False,
            )
            rows.append((list(row["input_ids"]), list(row["token_type_ids"])))
        return rows

    def vocabulary(self) -> Mapping[str, int]:
        """Every token, control tokens under their secret names, and its id."""
        names = self._control.names
        vocabulary = self._tokenizer.get_vocab()
        return {names.get(text, text): int(i) for text, i in vocabulary.items()} | self._control.ids

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = []
        start, strip = 0, False
        for match in self._names.finditer(text):
            token = self._control.ids[match[0]]
            added = self._tokenizer.added_tokens_decoder.get(token)
            piece = text[start : match.start()]
            ids += self._plain(piece, left=strip, right=bool(added and added.lstrip))
            ids.append(token)
            start, strip = match.end(), bool(added and added.rstrip)
        return ids + self._plain(text[start:], left=strip, right=False)

    def _plain(self, text: str, *, left: bool, right: bool) -> list[int]:
        """Ids of a text without control tokens; white space at its ends may belong to theirs."""
        text = text.lstrip() if left else text
        text = text.rstrip() if right else text
        if not text:
            return []
        # Everything that was added to the vocabulary is plain text then, so only where it must be.
        as_text = self._control.has(text)
        tokenizer = self._tokenizer
        tokens = tokenizer.tokenize(text, split_special_tokens=as_text)
        ids: list[int] = tokenizer.convert_tokens_to_ids(tokens)
        if found := set(ids) & set(self._control.ids.values()) - {self._unknown}:
            written = tokenizer.convert_ids_to_tokens(min(found))
            raise SampleError(f"holds {written}, which this tokeniser cannot read as plain text")
        return ids
