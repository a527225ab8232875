"""Where rows come from: a file or standard input, in a format that is stated."""

import functools
import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from palmfolio.errors import ConfigurationError
from palmfolio.files.formats import documents, hub, lines, parquet, tables
from palmfolio.files.formats.row import Fault, Row

STDIN = "-"
"""Stands for standard input."""
_GZIP = ".gz"
_READERS: dict[str, Callable[[IO[bytes]], Iterator[Row | Fault]]] = {
    "txt": lines.read_text_lines,
    "jsonl": lines.read_json_lines,
    "json": documents.read_document,
    "csv": tables.read_csv,
    "tsv": tables.read_tsv,
    "parquet": parquet.read_parquet,
}
FORMATS = tuple(_READERS)
"""The formats by their names, which are also the endings of files."""
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Source:
    """Rows that can be read any number of times.

    Attributes:
        name: what messages call it.
        rows: gives rows and faults in the order of the file; raises ConfigurationError where the
            file cannot be read at all.
    """

    name: str
    rows: Callable[[], Iterator[Row | Fault]]


def open_source(path: Path | str, format: str | None = None) -> Source:
    """The rows of a file, of standard input for `-`, or of a data set for `hub:OWNER/NAME@…`.

    Args:
        path: the file. Its ending says its format: `.jsonl`, `.CSV.gz` …
        format: the format, whatever the ending; required for standard input. `.gz` may follow it.

    Raises:
        ConfigurationError: the format is unknown, or the input cannot be read.
    """
    if str(path).startswith(hub.PREFIX):
        return Source(str(path), functools.partial(hub.hub_rows, str(path)))
    name = "standard input" if str(path) == STDIN else str(path)
    kind, compressed = _stated(format) if format is not None else _of_ending(path, name)
    if str(path) == STDIN:
        opened = _kept(sys.stdin.buffer)
    elif _is_pipe(Path(path)):
        # A pipe can be read once only, as standard input.
        with Path(path).open("rb") as pipe:
            opened = _kept(pipe)
    else:
        opened = functools.partial(_open, Path(path))
    return Source(name, functools.partial(_rows, name, kind, compressed, opened))


def _rows(
    name: str, kind: str, compressed: bool, opened: Callable[[], IO[bytes]]
) -> Iterator[Row | Fault]:
    try:
        with opened() as file:
            content = gzip.GzipFile(fileobj=file) if compressed else file
            buffered = io.BufferedReader(cast(io.RawIOBase, content))
            if kind != "parquet" and buffered.peek(2)[:2] in _UTF16:
                yield Fault("", "is UTF-16 text; save it as UTF-8")
            else:
                yield from _READERS[kind](buffered)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield Fault("", f"is not a whole gzip file: {error}")
    except OSError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot read {name}: {error.strerror or error}")


def _is_pipe(path: Path) -> bool:
    try:
        return path.is_fifo()
    except OSError as error:
        raise _unreadable(str(path), error) from error


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _of_ending(path: Path | str, name: str) -> tuple[str, bool]:
    if str(path) == STDIN:
        raise ConfigurationError(
            f"say the format of standard input with --format: {', '.join(FORMATS)}"
        )
    ending = Path(path).name.lower()
    compressed = ending.endswith(_GZIP)
    kind = Path(ending.removesuffix(_GZIP)).suffix.removeprefix(".")
    if kind not in _READERS:
        what = f"the ending .{kind} of {name}" if kind else f"{name} has no ending, which"
        known = ", ".join(f".{known}" for known in FORMATS)
        raise ConfigurationError(
            f"{what} names no format; known: {known}, each also with .gz. Rename the file, or say "
            "its format with --format"
        )
    return kind, compressed


def _stated(format: str) -> tuple[str, bool]:
    kind = format.lower().removeprefix(".")
    compressed = kind.endswith(_GZIP)
    kind = kind.removesuffix(_GZIP)
    if kind not in _READERS:
        raise ConfigurationError(
            f"the format {format!r} is unknown; known: {', '.join(FORMATS)}, each also with .gz"
        )
    return kind, compressed


def _kept(stream: IO[bytes]) -> Callable[[], IO[bytes]]:
    """Keeps what can be read only once in a file that vanishes with the process."""
    # The caller's functions hold it, and with the last of them it is closed.
    copy = tempfile.TemporaryFile()  # noqa: SIM115
    shutil.copyfileobj(stream, copy)
    copy.flush()

    def again() -> IO[bytes]:
        # Readers close what they get.
        copy.seek(0)
        return os.fdopen(os.dup(copy.fileno()), "rb")

    return again
