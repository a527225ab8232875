"""Conversations as people's data have them: lists of messages, and dialogues in one text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from palmfolio.files.fields import Problem
from palmfolio.types import ChatMessage

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
# Names that other tools have for the roles.
_ROLES = {
    SYSTEM: SYSTEM,
    USER: USER,
    ASSISTANT: ASSISTANT,
    "human": USER,
    "gpt": ASSISTANT,
    "developer": SYSTEM,
}
# Anthropic's hh-rlhf writes a dialogue as one text.
_TURN = re.compile(r"\n\n(Human|Assistant):")
_DIALOGUE = "\n\nHuman:"


def messages_of(value: Any, column: str) -> tuple[ChatMessage, ...]:
    """The messages of a list of objects with `role` and `content`, or with `from` and `value`.

    Raises:
        Problem: it is another list.
    """
    if not isinstance(value, Sequence) or not value:
        raise Problem(f": `{column}` must be a list of messages that is not empty")
    return tuple(_message(item, f"`{column}[{index}]`") for index, item in enumerate(value))


def dialogue_of(text: str) -> tuple[ChatMessage, ...] | None:
    """The turns of a text in the form of hh-rlhf; None for another text."""
    if not text.startswith(_DIALOGUE):
        return None
    # What the pattern captures stands between what the turns say.
    parts = _TURN.split(text)[1:]
    turns = zip(parts[::2], parts[1::2], strict=True)
    roles = {"Human": USER, "Assistant": ASSISTANT}
    return tuple(ChatMessage(roles[name], content.strip()) for name, content in turns)


def without_answer(turns: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """A conversation up to its last question: without the answers at its end."""
    end = len(turns)
    while end and turns[end - 1].role == ASSISTANT:
        end -= 1
    return tuple(turns[:end])


def common_start(first: str, second: str) -> str:
    """What two texts begin with, without a space at its end, as TRL takes the prompt of a pair."""
    shared = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        shared += 1
    return first[:shared].removesuffix(" ")


def prompt_problem(turns: Sequence[ChatMessage], column: str) -> str:
    """What is wrong with a conversation as a prompt, as the sentence goes on; empty if nothing."""
    for index, turn in enumerate(turns):
        if turn.role == SYSTEM and index:
            return f": `{column}[{index}]` is of the system; only the first message may be"
        if not turn.content.strip():
            return f": `{column}[{index}]` is empty"
    if not turns or turns[-1].role != USER:
        return f": `{column}` must end with a message of the user"
    return ""


def _message(item: Any, where: str) -> ChatMessage:
    if not isinstance(item, Mapping):
        raise Problem(f": {where} must be an object with `role` and `content`")
    role, content = item.get("role", item.get("from")), item.get("content", item.get("value"))
    if not isinstance(role, str) or role not in _ROLES:
        raise Problem(f": the role of {where} must be system, user or assistant, not {role!r}")
    return ChatMessage(_ROLES[role], _content(content, where))


def _content(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(_is_text(part) for part in content):
        return "".join(_texts(content))
    raise Problem(f": the content of {where} must be a text")


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and isinstance(part.get("text"), str)


def _texts(parts: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    return (part["text"] for part in parts)
