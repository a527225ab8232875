"""Samples in JSON lines: `prompt`, `response` and optionally `reference`, all texts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palmfolio.errors import ConfigurationError
from palmfolio.types import Sample

_REQUIRED = ("prompt", "response")


@dataclass(frozen=True, slots=True)
class Line:
    """One sample and the number of its line, from 1."""

    number: int
    sample: Sample


def read_samples(path: Path) -> Iterator[Line]:
    """The samples of a file, with one line in memory at a time; empty lines are skipped.

    Raises:
        ConfigurationError: a line is wrong; it and the field are named.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield Line(number, _sample(line, f"{path}, line {number}"))


def count_samples(path: Path) -> int:
    """Counts the samples of a file, and checks all of them before any work begins.

    Raises:
        ConfigurationError: a line is wrong, or the file has no samples.
        OSError: the file cannot be read.
    """
    count = sum(1 for _ in read_samples(path))
    if not count:
        raise ConfigurationError(f"{path} holds no samples")
    return count


def _sample(line: bytes, where: str) -> Sample:
    try:
        entry: Any = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{where}: not UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise ConfigurationError(f"{where}: not JSON: {error}") from None
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{where}: must be an object with `prompt` and `response`")
    texts = {name: entry.get(name) for name in (*_REQUIRED, "reference")}
    for name, text in texts.items():
        if text is None and name in _REQUIRED:
            raise ConfigurationError(f"{where}: `{name}` is missing")
        if text is not None and not isinstance(text, str):
            kind = type(text).__name__
            raise ConfigurationError(f"{where}: `{name}` must be a text, not {kind}")
    return Sample(texts["prompt"] or "", texts["response"] or "", texts["reference"])
