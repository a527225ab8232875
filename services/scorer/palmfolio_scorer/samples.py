"""A sample to score, and the failure that replaces a reward that cannot be computed."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from palmfolio_runtime.prompts import ChatMessage, Prompt

FailureCode = Literal["INVALID_ARGUMENT", "UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL"]
"""INVALID_ARGUMENT: the sample is at fault. UNAVAILABLE: the trait could not be loaded, or the
scorer is shutting down. DEADLINE_EXCEEDED: too late. INTERNAL: the trait failed, or its reward is
not finite."""

EmptyResponse: TypeAlias = float | Literal["judged", "unscorable"]
"""What a trait gives a response that says nothing: a stated raw reward; `unscorable`: no reward;
`judged`: what it gives any other response with the same text."""

TextField = Literal["prompt", "response", "reference"]
TEXT_FIELDS: tuple[TextField, ...] = ("prompt", "response", "reference")


@dataclass(frozen=True, slots=True)
class Sample:
    """One response to score. A reward is a function of these fields only.

    Attributes:
        prompt: what the policy was asked, as one text.
        response: what it answered.
        reference: the expected answer; empty when there is none.
        turns: the conversation that `prompt` is made of; empty when the prompt is a text.

    Example:
        >>> Sample("How do I bake bread?", "Knead, wait, bake.").reference
        ''
        >>> Sample("How do I bake bread?", "Knead, wait, bake.").messages
        (ChatMessage(role='user', content='How do I bake bread?'),)
    """

    prompt: str
    response: str
    reference: str = ""
    turns: tuple[ChatMessage, ...] = ()

    @classmethod
    def answering(cls, prompt: Prompt, response: str) -> "Sample":
        """The sample of a prompt and a response to it."""
        turns = prompt.messages if prompt.text is None else ()
        return cls(prompt.plain_text, response, prompt.reference, turns)

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """The prompt as a conversation, for chat templates."""
        return self.turns or (ChatMessage("user", self.prompt),)


@dataclass(frozen=True, slots=True)
class SampleFailure:
    """Why one sample has no reward on one trait."""

    code: FailureCode
    message: str
    field: str = ""
    """`prompt` (or a path within it), `response` or `reference` if it is at fault."""
    timed_out: bool = False
    """Whether the trait took longer than its time for one sample."""


EXPIRED = SampleFailure("DEADLINE_EXCEEDED", "the deadline passed before the sample was scored")
STOPPED = SampleFailure("UNAVAILABLE", "the scorer is shutting down")


class SampleError(Exception):
    """Raise it in a trait that cannot score one sample; the other samples are scored.

    The message goes to the client; it is a sentence about `field`, which comes before it.

    Example:
        >>> raise SampleError("is empty", field="response")
        Traceback (most recent call last):
        ...
        palmfolio_scorer.samples.SampleError: is empty
    """

    def __init__(
        self, message: str, *, code: FailureCode = "INVALID_ARGUMENT", field: str = ""
    ) -> None:
        super().__init__(message)
        self.failure = SampleFailure(code, message, field)


def check_text(sample: Sample, max_characters: int) -> SampleFailure | None:
    """Why no trait can score a sample's texts, or None if they are valid.

    A text has at most `max_characters`, and no lone surrogates: those cannot be written as UTF-8.
    """
    for field in TEXT_FIELDS:
        text = getattr(sample, field)
        length = len(text)
        if field == "prompt" and sample.turns:  # what `prompt` adds to the turns does not count
            length = sum(len(turn.content) for turn in sample.turns)
        if length > max_characters:
            return SampleFailure(
                "INVALID_ARGUMENT",
                f"has {length} characters; at most {max_characters} are allowed",
                field,
            )
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            return SampleFailure(
                "INVALID_ARGUMENT", f"is not valid UTF-8 at character {error.start}", field
            )
    return None
