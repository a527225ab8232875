"""Values as plain data for `--json`."""

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from palmfolio.types import Prompt
from palmfolio.types.kinds import KINDS


def to_plain(value: Any) -> Any:
    """A value of `palmfolio.types` as JSON knows it: NaN becomes null, times ISO 8601.

    A field that holds one of several classes becomes an object with the name of the class as its
    only key, as in portfolio files: `{"strategy": {"uniform": {"resolution": 4}}}`. A prompt that
    is only a text becomes this text, any other an object without the fields that are empty.
    """
    if isinstance(value, Prompt):
        return _prompt(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _field(getattr(value, field.name), field.metadata.get(KINDS))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def _prompt(prompt: Prompt) -> Any:
    found = {name: to_plain(getattr(prompt, name)) for name in Prompt.__dataclass_fields__}
    given = {name: value for name, value in found.items() if value}
    return prompt.text if list(given) in ([], ["text"]) else given


def _field(value: Any, kinds: Mapping[str, type] | None) -> Any:
    if kinds is None or value is None:
        return to_plain(value)
    (kind,) = (name for name, cls in kinds.items() if isinstance(value, cls))
    return {kind: to_plain(value)}


def to_json(value: Any) -> str:
    """A value as indented JSON."""
    return json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def print_json(value: Any) -> None:
    """Writes a value to standard output as indented JSON."""
    print(to_json(value))
