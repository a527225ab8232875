"""Text files, a prompt a line, and JSON lines.

Lines end with LF, CRLF or CR, in JSON lines with LF or CRLF. Nothing else ends a line: the line and
paragraph separators of Unicode, NEL, form feeds and vertical tabs are part of a text.
"""

import io
import json
from collections.abc import Iterator
from typing import IO, Any

from palmfolio.files.formats.row import Fault, Row, undecodable

BOM = "\ufeff"
_BLANKS = " \t"


def read_text_lines(file: IO[bytes]) -> Iterator[Row | Fault]:
    """A row with a `prompt` for every line that is not blank; spaces around it are left out."""
    lines = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape")
    for number, line in enumerate(lines, 1):
        # Files that were joined have a mark in the middle, too.
        text = line.removesuffix("\n").removeprefix(BOM).strip(_BLANKS)
        if not text.strip():
            continue
        bad = undecodable(text)
        if bad is not None:
            yield Fault(f"line {number}", f": not UTF-8 at byte {bad}")
        else:
            yield Row(f"line {number}", number, {"prompt": text})


def read_json_lines(file: IO[bytes]) -> Iterator[Row | Fault]:
    """A row for every line that is not blank: a JSON object."""
    for number, line in enumerate(file, 1):
        content = line.removeprefix(b"\xef\xbb\xbf")
        if not content.strip():
            continue
        place = f"line {number}"
        try:
            value = parse_json(content.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield Fault(place, f": not UTF-8 at byte {error.start}")
        except ValueError as error:
            yield Fault(place, f": not JSON: {error}")
        else:
            yield row_of(place, number, value)


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, or is nested deeper than the parser can follow.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def row_of(place: str, number: int, value: Any) -> Row | Fault:
    """The row of a JSON value, if it is an object."""
    if isinstance(value, dict):
        return Row(place, number, value)
    kind = {list: "a list", str: "a text", type(None): "null"}.get(type(value), "a value")
    return Fault(place, f": must be an object with a name for each value, not {kind}")
