"""Prompts as values: their canonical form and their identity.

The message `palmfolio.v1.Prompt` can say the same thing in two ways, and can say things that are
wrong. `Prompt` is the checked value: one form for each meaning, so equal prompts are equal values.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from palmfolio.v1 import prompts_pb2
from palmfolio_runtime.digest import digest

Role = Literal["system", "user", "assistant"]
ROLES: dict[int, Role] = {
    prompts_pb2.ROLE_SYSTEM: "system",
    prompts_pb2.ROLE_USER: "user",
    prompts_pb2.ROLE_ASSISTANT: "assistant",
}
"""The roles by their numbers in the protocol."""
_NUMBERS = {role: number for number, role in ROLES.items()}


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a policy is asked.

    Prompts are equal when they mean the same. Tags are for people and do not count.

    Attributes:
        messages: the conversation; a text is a single user turn.
        reference: the expected answer; empty when there is none.
        tags: for people.

    Example:
        >>> Prompt.of_text("Why?").messages
        (ChatMessage(role='user', content='Why?'),)
        >>> Prompt.of_text("2 + 2?", reference="#### 4").canonical()
        {'text': '2 + 2?', 'reference': '#### 4'}
    """

    messages: tuple[ChatMessage, ...]
    reference: str = ""
    tags: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def of_text(cls, text: str, reference: str = "", tags: Sequence[str] = ()) -> "Prompt":
        """The prompt that is one user turn."""
        return cls((ChatMessage("user", text),), reference, tuple(tags))

    @classmethod
    def from_message(cls, message: prompts_pb2.Prompt) -> "Prompt":
        """The value of a message that has no `prompt_problems`."""
        if message.messages:
            turns = tuple(ChatMessage(ROLES[each.role], each.content) for each in message.messages)
        else:
            turns = (ChatMessage("user", message.text),)
        return cls(turns, message.reference, tuple(message.tags))

    def to_message(self) -> prompts_pb2.Prompt:
        """The prompt as the protocol carries it, in its canonical form."""
        message = prompts_pb2.Prompt(reference=self.reference, tags=self.tags)
        if self.text is not None:
            message.text = self.text
        else:
            for turn in self.messages:
                message.messages.add(role=_NUMBERS[turn.role], content=turn.content)
        return message

    @classmethod
    def from_canonical(cls, value: Any) -> "Prompt":
        """The prompt, without its tags, whose canonical form this is."""
        if isinstance(value, str):
            return cls.of_text(value)
        reference = value.get("reference", "")
        if "text" in value:
            return cls.of_text(value["text"], reference)
        turns = tuple(ChatMessage(each["role"], each["content"]) for each in value["messages"])
        return cls(turns, reference)

    def canonical(self) -> str | dict[str, Any]:
        """The JSON value that stands for the prompt in identities and in databases.

        A text without a reference is a bare string: before prompts were records they were texts,
        and what was stored for them keeps its id. Others are mappings without neutral values.
        """
        if self.text is not None and not self.reference:
            return self.text
        value: dict[str, Any] = (
            {"messages": [{"role": turn.role, "content": turn.content} for turn in self.messages]}
            if self.text is None
            else {"text": self.text}
        )
        return value | ({"reference": self.reference} if self.reference else {})

    @property
    def digest(self) -> str:
        """64 hexadecimal digits, equal for equal prompts only."""
        return digest(self.canonical())

    @property
    def text(self) -> str | None:
        """The text of a prompt that is a single user turn; None for other conversations."""
        if len(self.messages) == 1 and self.messages[0].role == "user":
            return self.messages[0].content
        return None

    @property
    def plain_text(self) -> str:
        """The prompt for a reader of a single text, such as a sentence model.

        The only turn besides a system message as it is; several turns as `role: content` lines.

        Example:
            >>> hello, again = ChatMessage("user", "Hello"), ChatMessage("assistant", "Hi")
            >>> print(Prompt((hello, again, ChatMessage("user", "Bye"))).plain_text)
            user: Hello
            assistant: Hi
            user: Bye
        """
        turns = [turn for turn in self.messages if turn.role != "system"]
        if len(turns) == 1:
            return turns[0].content
        return "\n".join(f"{turn.role}: {turn.content}" for turn in self.messages)

    def chat(self) -> list[dict[str, str]]:
        """The turns as chat templates take them."""
        return [{"role": turn.role, "content": turn.content} for turn in self.messages]
