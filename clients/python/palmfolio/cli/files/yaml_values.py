"""Values of `palmfolio.types` from YAML, with messages that name the file and the key."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from palmfolio.cli.numbers import parse_number
from palmfolio.errors import ConfigurationError
from palmfolio.types.kinds import KINDS


def mapping(item: Any, where: str) -> Mapping[str, Any]:
    """The item, if it is a mapping.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(item, Mapping):
        raise ConfigurationError(f"{where} must be a mapping of keys to values")
    return item


def build(cls: Any, content: Any, where: str) -> Any:
    """A value of dataclass `cls` from plain data, with every key checked.

    Args:
        cls: a class of `palmfolio.types`.
        content: what YAML read: a mapping whose keys are the fields of the class.
        where: what messages put in front of a key, for example `spec.yaml: grpo.`.

    Raises:
        ConfigurationError: a key is unknown, missing or wrong.
    """
    # `strategy: {explicit: [...]}` is as clear as the protocol's `{explicit: {trainings: [...]}}`.
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if isinstance(content, list) and len(fields) == 1:
        content = {next(iter(fields)): content}
    content = mapping(content, where.removesuffix(".").removesuffix(": "))
    for key in content:
        if key not in fields:
            raise ConfigurationError(f"{where}{key} is unknown; known: {', '.join(sorted(fields))}")
    for name, field in fields.items():
        optional = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if name not in content and not optional:
            raise ConfigurationError(f"{where}{name} is required")
    values = {}
    for key, item in content.items():
        if kinds := fields[key].metadata.get(KINDS):
            values[key] = _of_kind(kinds, item, where + key)
        else:
            values[key] = _convert(hints[key], item, where + key)
    return cls(**values)


def _of_kind(kinds: Mapping[str, type], item: Any, where: str) -> Any:
    """A value of one of several classes, from `{KIND: {…}}`."""
    if not isinstance(item, Mapping) or len(item) != 1 or next(iter(item)) not in kinds:
        known = ", ".join(f"{kind}: {{…}}" for kind in kinds)
        raise ConfigurationError(f"{where} must be a mapping with exactly one of {known}")
    ((kind, content),) = item.items()
    return build(kinds[kind], {} if content is None else content, f"{where}.{kind}.")


def _convert(hint: Any, item: Any, where: str) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = next(part for part in typing.get_args(hint) if part is not type(None))
        return None if item is None else _convert(inner, item, where)
    if dataclasses.is_dataclass(hint):
        return build(hint, {} if item is None else item, where + ".")
    origin = typing.get_origin(hint)
    if origin is tuple:
        if not isinstance(item, list):
            raise ConfigurationError(f"{where} must be a list")
        element = typing.get_args(hint)[0]
        return tuple(_convert(element, entry, f"{where}[{i}]") for i, entry in enumerate(item))
    if origin is Mapping:
        element = typing.get_args(hint)[1]
        entries = mapping(item, where)
        return {str(k): _convert(element, entry, f"{where}.{k}") for k, entry in entries.items()}
    return _scalar(hint, item, where)


def _scalar(hint: type, item: Any, where: str) -> Any:
    if hint is float and not isinstance(item, bool):
        # YAML reads `5e-4`, without a point, as a text.
        try:
            return parse_number(item) if isinstance(item, str) else float(item)
        except (TypeError, ValueError, OverflowError):
            pass
    # In Python a bool is an int, but `steps: true` is a mistake.
    elif isinstance(item, hint) and not (hint is int and isinstance(item, bool)):
        return item
    kind = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    raise ConfigurationError(f"{where} must be {kind.get(hint, hint.__name__)}, not {item!r}")
