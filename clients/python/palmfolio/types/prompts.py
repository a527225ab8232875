"""Prompts: what policies are asked, and the sets that hold them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation.

    Example:
        >>> message = ChatMessage("user", "How do I brew good coffee?")
    """

    role: str
    """`system` (only in the first message), `user` or `assistant`."""
    content: str


@dataclass(frozen=True, slots=True, init=False)
class Prompt:
    """What a policy is asked: a text, or a conversation that ends with a user's turn.

    Wherever a call takes a prompt, a `str` is the same as a `Prompt` of this text. Calls return
    `Prompt` objects; `str(prompt)` is what to show to people.

    Args:
        text: one user turn; leave it out when `messages` are given.
        messages: the turns; mappings with `role` and `content` are taken as well.
        reference: the expected answer.
        tags: for people, but for `cluster=NAME`: such prompts were drawn together, as those of one
            template, and bounds for finitely many prompts count clusters.

    Example:
        >>> prompt = Prompt("What is 2 + 2?", reference="4", tags=["arithmetic"])
        >>> chat = Prompt(messages=[
        ...     {"role": "system", "content": "Answer in one word."},
        ...     {"role": "user", "content": "Name a colour."},
        ... ])
        >>> print(chat)
        system: Answer in one word.
        user: Name a colour.
    """

    text: str | None
    """One user turn; None for a conversation."""
    messages: tuple[ChatMessage, ...]
    """A conversation's turns; empty for a text."""
    reference: str | None
    """The expected answer, for traits that compare with it; the policy never reads it."""
    tags: tuple[str, ...]
    """For people; not part of the identity."""

    def __init__(
        self,
        text: str | None = None,
        messages: Iterable[ChatMessage | Mapping[str, str]] = (),
        reference: str | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        turns = tuple(
            turn if isinstance(turn, ChatMessage) else ChatMessage(**turn) for turn in messages
        )
        # The class is frozen: its own `__setattr__` refuses.
        for name, value in (
            ("text", text),
            ("messages", turns),
            ("reference", reference),
            ("tags", tuple(tags)),
        ):
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        """The text, or the turns as `role: content` lines."""
        if self.text is not None:
            return self.text
        return "\n".join(f"{turn.role}: {turn.content}" for turn in self.messages)


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Prompts addressed by their content. Listings and answers may leave the prompts out."""

    name: str
    """`promptSets/{id}`; the id is a digest of the prompts."""
    prompts: tuple[Prompt, ...] = ()
    display_name: str = ""
    """For people; not part of the identity."""
    create_time: datetime | None = None
    prompt_count: int = 0
    """How many prompts it has, also where they are left out."""
