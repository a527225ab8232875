"""Tokenisers of the `tokenizers` library, with their control tokens under secret names."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from palmfolio_scorer.models.tokens.control import ControlTokens


class FastTokens:
    """Tokenises texts and pairs whose control tokens have their secret names. Not thread-safe."""

    def __init__(self, tokenizer: Any, control: ControlTokens) -> None:
        """
        Raises:
            ValueError: a control token cannot be renamed.
        """
        self._side = tokenizer.truncation_side
        self._core = _renamed(tokenizer.backend_tokenizer, control.names)
        for name, token in control.ids.items():
            if self._core.token_to_id(name) != token:
                raise ValueError(f"the tokeniser's control token {token} cannot be renamed")

    def encode(
        self, inputs: Sequence[Any], limit: int | None, special_tokens: bool
    ) -> list[tuple[list[int], list[int]]]:
        """Token ids and token types of each text or pair, cut to `limit` tokens."""
        if limit is None:
            self._core.no_truncation()
        else:
            self._core.enable_truncation(limit, direction=self._side)
        rows = self._core.encode_batch(list(inputs), add_special_tokens=special_tokens)
        return [(row.ids, row.type_ids) for row in rows]

    def vocabulary(self) -> Mapping[str, int]:
        """Every token, control tokens under their secret names, and its id."""
        vocabulary: Mapping[str, int] = self._core.get_vocab(with_added_tokens=True)
        return vocabulary


def _renamed(core: Any, names: Mapping[str, str]) -> Any:
    """A copy of a tokeniser in which tokens have other names and the same ids."""
    from tokenizers import Tokenizer

    parts = json.loads(core.to_str())
    parts["truncation"] = parts["padding"] = None
    for token in parts["added_tokens"]:
        if name := names.get(token["content"]):
            token |= {"content": name, "normalized": False}
    model = parts["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(text, text): i for text, i in model["vocab"].items()}
    else:  # pieces with their scores
        model["vocab"] = [[names.get(text, text), score] for text, score in model["vocab"]]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        model["merges"] = [merge for merge in model["merges"] if not _made_of(merge) & names.keys()]
    return Tokenizer.from_str(json.dumps(parts))


def _made_of(merge: Any) -> set[str]:
    """The two tokens of a merge and their union."""
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return {left, right, left + right}
