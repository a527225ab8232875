"""Templates: prompt and response in the text format that a model was trained on."""

import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, model_validator

from palmfolio_runtime.prompts import ChatMessage
from palmfolio_scorer.samples import TEXT_FIELDS, Sample, TextField

_FIELD = re.compile(r"\{(prompt|response|reference)\}")
_CONTENT = "{content}"


class TurnTemplates(BaseModel):
    """How each turn of a conversation is written, with `{content}` for what was said.

    Example:
        >>> turns = TurnTemplates(user="Q: {content}", assistant=" A: {content}")
        >>> turns.write([ChatMessage("user", "Why?"), ChatMessage("assistant", "Because.")])
        'Q: Why? A: Because.'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str
    assistant: str
    system: str | None = None
    """None leaves system messages out."""

    @model_validator(mode="after")
    def _with_content(self) -> "TurnTemplates":
        for role in ("user", "assistant", "system"):
            if (text := getattr(self, role)) is not None and text.count(_CONTENT) != 1:
                raise ValueError(f"{role} must hold {_CONTENT} once")
        return self

    def write(self, messages: Sequence[ChatMessage]) -> str:
        """The turns, one after the other."""
        templates = [(getattr(self, turn.role), turn.content) for turn in messages]
        return "".join(text.replace(_CONTENT, content) for text, content in templates if text)


def render(template: str, sample: Sample) -> str:
    """Replaces `{prompt}`, `{response}` and `{reference}` by the sample's texts.

    Every other brace is kept, and a text that itself holds `{response}` is not filled again.

    Example:
        >>> render("Q: {prompt} A: {response} {}", Sample("Why?", "Because {prompt}"))
        'Q: Why? A: Because {prompt} {}'
    """
    return _FIELD.sub(lambda match: str(getattr(sample, match[1])), template)


def mentions(template: str, field: str) -> bool:
    """Whether the template holds that text's field."""
    return any(match[1] == field for match in _FIELD.finditer(template))


def fields_of(*templates: str) -> frozenset[TextField]:
    """The fields that templates hold."""
    return frozenset(
        field for field in TEXT_FIELDS if any(mentions(text, field) for text in templates)
    )
