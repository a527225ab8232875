"""JSON files: one list of objects, or of prompts as texts."""

import json
from collections.abc import Iterator
from typing import IO, Any

from palmfolio.files.formats.lines import row_of
from palmfolio.files.formats.row import Fault, Row

_SHOWN_KEYS = 5
_SPACE = " \t\r\n"


def read_document(file: IO[bytes]) -> Iterator[Row | Fault]:
    """A row for each item of the list; a text is a row with a `prompt`."""
    content = file.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        yield Fault(f"line {line}", f": not UTF-8 at byte {error.start} of the file")
        return
    start = _skip(text, 0)
    if not text[start:]:
        yield Fault("", "is empty; write a list of objects, [{…}, …]")
    elif text[start] != "[":
        yield _no_list(text)
    else:
        yield from _items(text, start + 1)


def _items(text: str, at: int) -> Iterator[Row | Fault]:
    """The items one by one, so that each has its line."""
    decoder = json.JSONDecoder()
    line, counted, number = 1, 0, 0
    at = _skip(text, at)
    closed = text[at : at + 1] == "]"
    while not closed:
        number += 1
        line, counted = line + text.count("\n", counted, at), at
        place = f"item {number} (line {line})"
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            yield Fault(f"line {error.lineno}", f": not JSON: {error.msg} (column {error.colno})")
            return
        except (ValueError, RecursionError) as error:
            deep = isinstance(error, RecursionError)
            yield Fault(place, f": not JSON: {'it is nested too deeply' if deep else error}")
            return
        yield (
            Row(place, number, {"prompt": value})
            if isinstance(value, str)
            else row_of(place, number, value)
        )
        at = _skip(text, at)
        after = text[at : at + 1]
        closed = after == "]"
        if not closed and after != ",":
            yield Fault(place, ": not JSON: a comma or ] must follow it")
            return
        at = at if closed else _skip(text, at + 1)
    if text[at + 1 :].strip(_SPACE):
        yield Fault("", "goes on after the list; name a file of JSON lines .jsonl")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _no_list(text: str) -> Fault:
    try:
        value: Any = json.loads(text)
    except json.JSONDecodeError as error:
        hint = "; name a file of JSON lines .jsonl" if error.msg == "Extra data" else ""
        return Fault(f"line {error.lineno}", f": not JSON: {error.msg}{hint}")
    except (ValueError, RecursionError) as error:
        return Fault("", f"is not JSON: {error}")
    keys = list(value)[:_SHOWN_KEYS] if isinstance(value, dict) else []
    what = f"an object with {', '.join(keys)}" if keys else "no list"
    return Fault("", f"must hold a list of objects, [{{…}}, …]; it holds {what}")
