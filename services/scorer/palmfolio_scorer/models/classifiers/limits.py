"""What a model can read: how many tokens, and which kinds of tokens."""

from typing import Any

_POSITIONS = ("position_embeddings", "embed_positions", "wpe")
"""Names that architectures give their table of learned positions."""


def position_limit(model: Any) -> int | None:
    """The number of tokens that a model has positions for; None if it has no limit.

    RoBERTa's family counts positions from the padding token's id, so some of its table are never
    used: 514 positions take 512 tokens.
    """
    limits = [getattr(model.config.get_text_config(), "max_position_embeddings", None)]
    limits += [
        table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
        for table in position_tables(model)
    ]
    return min((limit for limit in limits if limit is not None), default=None)


def position_tables(model: Any) -> list[Any]:
    """The learned tables of positions; an index beyond their end is an error."""
    return [
        module
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in _POSITIONS and hasattr(module, "num_embeddings")
    ]


def token_types(model: Any) -> int | None:
    """The number of token types that a model tells apart; None if it has no table of them."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] == "token_type_embeddings" and hasattr(module, "num_embeddings"):
            return int(module.num_embeddings)
    return None
