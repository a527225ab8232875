"""Prompts that are plain texts, as the protocol carries them and as the services hold them."""

from collections.abc import Iterable

from palmfolio.v1 import prompts_pb2
from palmfolio_runtime.prompts import Prompt


def text_messages(texts: Iterable[str]) -> list[prompts_pb2.Prompt]:
    """A message for each text."""
    return [prompts_pb2.Prompt(text=text) for text in texts]


def text_prompts(*texts: str) -> tuple[Prompt, ...]:
    """A value for each text."""
    return tuple(Prompt.of_text(text) for text in texts)
