"""Content addresses that survive upgrades: a versioned canonical form without neutral values.

The rules for a change of a model whose identity is stored:

1. What changes a result is in the canonical form; what does not (`OUTSIDE`) is not: no path, no
   batch size that only bounds memory.
2. A new setting declares its neutral value, the one that behaves as if the setting did not exist.
   A setting at its neutral value is left out, so that adding it changes no existing address.
   The neutral value never changes. It need not be the default, which may change at any time.
3. A setting without a declared neutral value is always in, whatever its default.
4. A change that these rules cannot express raises the version number: every address changes.

A test with golden identities catches a setting that was added without rule 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from pydantic import BaseModel

from palmfolio_runtime.digest import digest


@dataclass(frozen=True)
class Neutral:
    """Marks a field of a pydantic model: left out of identities at this value.

    Example:
        >>> from typing import Annotated
        >>> class Settings(BaseModel):
        ...     steps: int
        ...     warmup_steps: Annotated[int, Neutral(0)] = 0
        >>> canonical(Settings(steps=5)), canonical(Settings(steps=5, warmup_steps=2))
        ({'steps': 5}, {'steps': 5, 'warmup_steps': 2})
    """

    value: Any


class _Outside(Enum):
    OUTSIDE = "outside"


OUTSIDE = _Outside.OUTSIDE
"""Marks a field of a pydantic model that changes how a result is computed, not the result."""

_NOTHING: Mapping[str, Any] = {}


def canonical(value: Any, neutral: Mapping[str, Any] = _NOTHING, path: str = "") -> Any:
    """A JSON value without what is neutral: equal for values that mean the same.

    - Pydantic models: fields at their `Neutral` value and `OUTSIDE` fields are left out.
    - Protobuf messages: fields that are not set are left out, and those without presence at 0, `""`
      or empty. Enums are numbers, bytes hexadecimal.
    - Mappings: entries that are None are left out.

    Args:
        value: a pydantic model, a protobuf message, or a JSON value that may hold such.
        neutral: further neutral values by field path, such as `{"grid.level": 1}`, compared in
            canonical form; for messages and mappings, which cannot be marked.
        path: where `value` stands.

    Raises:
        TypeError: the value holds something that has no canonical form, such as a set or a path.
    """
    if isinstance(value, BaseModel):
        fields = _model_fields(value)
    elif isinstance(value, Message):
        return _message(value, neutral, path)
    elif isinstance(value, Mapping):
        fields = {str(key): item for key, item in value.items() if item is not None}
    elif isinstance(value, list | tuple):
        return [canonical(item, neutral, path) for item in value]
    elif isinstance(value, Enum):
        return canonical(value.value, neutral, path)
    elif value is None or isinstance(value, bool | int | str):
        return value
    elif isinstance(value, float):
        return value or 0.0  # -0.0 means the same
    else:
        raise TypeError(f"{path or 'the value'}: {type(value).__name__} has no canonical form")
    return _without_neutral(fields, neutral, path)


def identity(
    kind: str, version: int, value: Any, length: int = 64, neutral: Mapping[str, Any] = _NOTHING
) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of a value's canonical form.

    Args:
        kind: what the value describes, so that equal values of two kinds differ.
        version: of the canonical form; raise it when an existing address must change.
        value: see `canonical`.
        length: hexadecimal digits, at most 64.
        neutral: see `canonical`.

    Raises:
        TypeError: the value has no canonical form.
        ValueError: the value holds NaN or an infinity.
    """
    form = {"kind": kind, "version": version, "value": canonical(value, neutral)}
    return digest(form, length)


def left_out(model: BaseModel) -> set[str]:
    """Names of a model's fields that identities leave out: `OUTSIDE`, or at the `Neutral` value.

    For models whose identity is not `canonical`, because it was fixed before that existed.
    """
    names: set[str] = set()
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        marks = [mark for mark in field.metadata if isinstance(mark, Neutral)]
        is_neutral = any(canonical(mark.value) == canonical(value) for mark in marks)
        if OUTSIDE in field.metadata or is_neutral:
            names.add(name)
    return names


def _model_fields(model: BaseModel) -> dict[str, Any]:
    skipped = left_out(model)
    return {name: getattr(model, name) for name in type(model).model_fields if name not in skipped}


def _message(message: Message, neutral: Mapping[str, Any], path: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    # Only fields that are set: a stored message of an older program lacks the newer fields.
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_BYTES:
            value = [item.hex() for item in value] if field.is_repeated else value.hex()
        elif field.is_repeated and not _is_map(field):
            value = list(value)
        elif _is_map(field):
            value = dict(value)
        fields[field.name] = value
    return _without_neutral(fields, neutral, path)


def _is_map(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)


def _without_neutral(
    fields: Mapping[str, Any], neutral: Mapping[str, Any], path: str
) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, item in fields.items():
        where = f"{path}.{name}" if path else name
        form = canonical(item, neutral, where)
        if where not in neutral or form != canonical(neutral[where]):
            kept[name] = form
    return kept
