"""Prompts of a file, whatever the names and the form of its columns."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from palmfolio.errors import ConfigurationError
from palmfolio.files import conversations
from palmfolio.files.conversations import SYSTEM, USER
from palmfolio.files.faults import Faults
from palmfolio.files.fields import Fields, Problem, listed, name_column
from palmfolio.files.formats.row import Fault
from palmfolio.files.sources import open_source
from palmfolio.types import ChatMessage, Prompt

PROMPT_FIELDS = ("prompt", "messages", "chosen", "system", "reference", "tags")
"""What is read of a row for a prompt."""
_CONVERSATIONS = ("messages", "conversations")


def read_prompts(
    path: Path | str, *, format: str | None = None, fields: Mapping[str, str] | None = None
) -> tuple[Prompt, ...]:
    """The prompts of a file.

    Each row has a `prompt`, which is a text or a list of messages, or in its place a conversation
    in `messages`, or the better half of a pair in `chosen`, whose answer at the end is left out.
    A `reference`, `tags` and a `system` message may come with it.

    Args:
        path: a file that ends in .txt (a prompt a line), .jsonl, .json, .csv, .tsv or .parquet,
            each also with .gz; `-` for standard input; or a data set of the Hugging Face hub,
            `hub:OWNER/NAME@REVISION#SPLIT`.
        format: the format, whatever the ending; required for standard input.
        fields: column by field, for columns with another name: `{"prompt": "question"}`.

    Raises:
        palmfolio.ConfigurationError: the file cannot be read or holds no prompts, or rows are
            wrong; all of them are named.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("riddles.csv").write_text("question,answer\\n2 + 2?,4\\n")
        >>> fields = {"prompt": "question", "reference": "answer"}
        >>> prompts = read_prompts("riddles.csv", fields=fields)
        >>> print(prompts[0], prompts[0].reference)
        2 + 2? 4
    """
    found = Fields(fields or {}, PROMPT_FIELDS)
    source = open_source(path, format)
    faults = Faults(source.name)
    prompts = []
    for row in source.rows():
        if isinstance(row, Fault):
            faults.add(row)
            continue
        try:
            prompt = prompt_of(row.values, found)
            check_texts(prompt)
            prompts.append(prompt)
        except Problem as problem:
            faults.add(Fault(row.place, str(problem)))
    faults.check()
    if not prompts:
        raise ConfigurationError(f"{source.name} holds no prompts; write at least one")
    return tuple(prompts)


def prompt_of(values: Mapping[str, Any], fields: Fields, *, blank: bool = False) -> Prompt:
    """The prompt of a row.

    Args:
        values: the columns of the row.
        fields: where the fields are.
        blank: whether a text may be empty.

    Raises:
        Problem: the row has none, or it is wrong.
    """
    reference = _reference(fields.find(values, "reference"), fields.column("reference"))
    tags = _tags(fields.find(values, "tags"), fields.column("tags"))
    asked = _asked(values, fields, blank)
    system = fields.find(values, "system")
    if system is not None and not isinstance(system, str):
        raise Problem(f": `{fields.column('system')}` must be a text")
    if isinstance(asked, str):
        if not (system and system.strip()):
            return Prompt(asked, reference=reference, tags=tags)
        asked = (ChatMessage(USER, asked),)
    if system and system.strip() and asked[0].role != SYSTEM:
        asked = (ChatMessage(SYSTEM, system), *asked)
    if len(asked) == 1:
        return Prompt(asked[0].content, reference=reference, tags=tags)
    return Prompt(messages=asked, reference=reference, tags=tags)


def conversation_of(values: Mapping[str, Any], fields: Fields) -> tuple[ChatMessage, ...] | None:
    """The messages of a row that holds a whole conversation; None if it does not."""
    for name in _CONVERSATIONS if not fields.is_given("messages") else ("messages",):
        value = fields.find(values, name) if name == "messages" else values.get(name)
        if value is not None:
            column = fields.column(name)
            return conversations.messages_of(_parsed(value, column), column)
    return None


def unusable(text: str) -> str:
    """What no service takes in a text, as the sentence goes on; empty if there is nothing."""
    if "\0" in text:
        return f"holds a NUL character, at character {text.index(chr(0)) + 1}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return (
            f"holds half a character (a lone surrogate), at character {error.start + 1}; the text "
            "was cut within an emoji or another rare character"
        )
    return ""


def _asked(values: Mapping[str, Any], fields: Fields, blank: bool) -> str | Sequence[ChatMessage]:
    """What the row asks: a text, or messages that end with the user's."""
    prompt = fields.find(values, "prompt")
    if prompt is None and not fields.is_given("prompt"):
        turns = conversation_of(values, fields)
        column = "messages"
        if turns is None and (chosen := fields.find(values, "chosen")) is not None:
            column = fields.column("chosen")
            asked = _of_pair(chosen, values.get("rejected"), column)
            if isinstance(asked, str):
                return asked
            turns = asked
        if turns is None:
            raise Problem(
                f": needs a `prompt`, `messages` or `chosen`; {listed(values)}. "
                + name_column("prompt")
            )
        turns = conversations.without_answer(turns)
    else:
        column = fields.column("prompt")
        if isinstance(prompt, str):
            if not (blank or prompt.strip()):
                raise Problem(f": needs a `{column}` that is not empty")
            return prompt
        if not isinstance(prompt, list):
            raise Problem(f": needs a `{column}` that is a text or a list of messages")
        turns = conversations.messages_of(prompt, column)
    problem = conversations.prompt_problem(turns, column)
    if problem:
        raise Problem(problem)
    return turns


def _of_pair(chosen: Any, rejected: Any, column: str) -> str | tuple[ChatMessage, ...]:
    """The prompt within a pair of answers that hold it, as TRL's preference data do."""
    if not isinstance(chosen, str):
        return conversations.messages_of(chosen, column)
    turns = conversations.dialogue_of(chosen)
    if turns is not None:
        return turns
    shared = conversations.common_start(chosen, rejected) if isinstance(rejected, str) else ""
    if not shared.strip():
        raise Problem(
            f": `{column}` holds no prompt: it must be a list of messages, a dialogue of hh-rlhf, "
            "or begin as `rejected` does. " + name_column("prompt")
        )
    return shared


def _parsed(value: Any, column: str) -> Any:
    """A list of messages that a table holds as a text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise Problem(f": `{column}` must be a list of messages, in JSON") from None


def _reference(value: Any, column: str) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise Problem(f": `{column}` must be a text or a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise Problem(f": `{column}` must be a text or a finite number")
    # Answers to questions of arithmetic are often stored as numbers.
    return None if value is None or value == "" else str(value)


def _tags(value: Any, column: str) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise Problem(f": `{column}` must be a list of texts")
    return tuple(value)


def check_texts(prompt: Prompt) -> None:
    """Does nothing when services take the texts of a prompt.

    Raises:
        Problem: a text holds what none of them takes.
    """
    for what, text in _texts(prompt):
        problem = unusable(text)
        if problem:
            raise Problem(f": the {what} {problem}")


def _texts(prompt: Prompt) -> Iterator[tuple[str, str]]:
    yield from (("prompt", text) for text in (prompt.text, *_contents(prompt)) if text)
    yield "reference", prompt.reference or ""
    yield from (("tag", tag) for tag in prompt.tags)


def _contents(prompt: Prompt) -> Iterator[str]:
    return (turn.content for turn in prompt.messages)
