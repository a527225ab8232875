"""Values as plain data for `--json`."""

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def to_plain(value: Any) -> Any:
    """A value of `palmfolio.types` as JSON knows it: NaN becomes null, times ISO 8601."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)
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


def to_json(value: Any) -> str:
    """A value as indented JSON."""
    return json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def print_json(value: Any) -> None:
    """Writes a value to standard output as indented JSON."""
    print(to_json(value))
