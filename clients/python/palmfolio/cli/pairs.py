"""Pairs on the command line.

Weights, `helpful=0.6,brief=0.4`, versions, `helpful=v3`, and columns, `prompt=question`.
"""

import math
from collections.abc import Sequence

import typer

from palmfolio.cli.numbers import parse_number


def parse_weights(text: str) -> dict[str, float]:
    """Weights by trait, in any scale.

    Raises:
        typer.BadParameter: not of the form `trait=number,…`, a trait twice, a weight that is
            negative or not finite, or no positive weight.
    """
    pairs = _pairs(text, "trait=number", "helpful=0.6,brief=0.4")
    weights = {trait: _weight(trait, number) for trait, number in pairs.items()}
    if not any(weights.values()):
        raise typer.BadParameter("all weights are zero; at least one must be positive")
    return weights


def parse_versions(text: str) -> dict[str, str]:
    """Versions by trait; empty for an empty text.

    Raises:
        typer.BadParameter: not of the form `trait=version,…`, or a trait twice.
    """
    return _pairs(text, "trait=version", "helpful=v3,brief=v1") if text.strip() else {}


def parse_fields(pairs: Sequence[str] | None) -> dict[str, str]:
    """Columns by field, from `prompt=question` and its like.

    Raises:
        typer.BadParameter: not of the form `field=column`, or a field twice.
    """
    fields: dict[str, str] = {}
    for pair in pairs or ():
        field, equals, column = pair.partition("=")
        field = field.strip()
        if not equals or not field or not column:
            raise typer.BadParameter(
                f"{pair!r} is not of the form FIELD=COLUMN; write for example "
                "--field prompt=question"
            )
        if field in fields:
            raise typer.BadParameter(f"the field {field!r} is given twice")
        fields[field] = column
    return fields


def parse_names(text: str) -> tuple[str, ...]:
    """Names separated by commas, without empty ones."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _pairs(text: str, form: str, example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in text.split(","):
        trait, equals, value = part.partition("=")
        trait = trait.strip()
        if not equals or not trait:
            raise typer.BadParameter(
                f"{part.strip()!r} is not of the form {form}; write for example {example}"
            )
        if trait in pairs:
            raise typer.BadParameter(f"the trait {trait!r} is given twice")
        pairs[trait] = value.strip()
    return pairs


def _weight(trait: str, text: str) -> float:
    try:
        is_finite = text.strip().lower().lstrip("+-") not in ("nan", "inf", "infinity")
        weight = parse_number(text) if is_finite else math.inf
    except ValueError:
        raise typer.BadParameter(f"the weight of {trait!r} is {text!r}, not a number") from None
    if not math.isfinite(weight) or weight < 0:
        raise typer.BadParameter(
            f"the weight of {trait!r} is {text}; weights must be finite and not negative"
        )
    return weight
