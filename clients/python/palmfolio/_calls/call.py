"""What a call is, and the helpers that the services' calls share."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from palmfolio._codec import decode
from palmfolio._connection import ServiceName

Answer = TypeVar("Answer")
Result = TypeVar("Result")


class Numbered(Protocol):
    """An event with a number, after which a later watch can continue."""

    @property
    def number(self) -> int:
        """1, 2, 3 … within the operation."""


Event = TypeVar("Event", bound=Numbered)

Page = tuple[list[Answer], str]
"""Items, and the token of the next page; empty on the last."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One call.

    Attributes:
        service: which service answers.
        method: the method's name.
        request: the message to send, or an iterator of messages for a client stream.
        read: turns an answer (for a stream, each answer) into a value.
        limit: which of the client's timeouts applies.
        of_operations: the method belongs to `google.longrunning.Operations`.
        request_id: makes the call traceable and, where it changes something, safe to repeat. Left
            out, it is the request's own id, or a new one. Retries of a call send the same id.
    """

    service: ServiceName
    method: str
    request: Any
    read: Callable[[Any], Answer]
    limit: Literal["call", "score", "generate"] = "call"
    of_operations: bool = False
    request_id: str = ""

    def __post_init__(self) -> None:
        if not self.request_id:
            own = getattr(self.request, "request_id", "")
            # The class is frozen; this settles the field once, before anybody reads it.
            object.__setattr__(self, "request_id", own or new_request_id())


@dataclass(frozen=True, slots=True)
class OperationKind(Generic[Result, Event]):
    """The differences between trainings and builds.

    Attributes:
        service: the service that owns the operation.
        read: turns the response into a value.
        response: the response's message class.
        watch: the call that streams events after a given number.
    """

    service: ServiceName
    read: Callable[[Any], Result]
    response: type[Message]
    watch: Callable[[str, int], Call[Event]]


def new_request_id() -> str:
    """A new id, different from every other."""
    return str(uuid.uuid4())


def resource(collection: str, name: str) -> str:
    """A resource name such as `policies/abc`, from the full name or its last part."""
    return name if name.startswith(f"{collection}/") else f"{collection}/{name}"


def set_seconds(duration: Duration, seconds: float | None) -> None:
    """Writes a duration; None leaves it unset."""
    if seconds is not None:
        duration.FromMilliseconds(round(seconds * 1000))


def unchanged(message: Any) -> Any:
    """Reads an answer as the message that it is."""
    return message


def nothing(_message: Any) -> None:
    """Reads an answer without content."""


def reader(cls: type[Answer]) -> Callable[[Any], Answer]:
    """Reads an answer as a value of `cls`."""
    return lambda message: decode(cls, message)


def page_reader(cls: type[Answer], items: str) -> Callable[[Any], Page[Answer]]:
    """Reads a page whose field `items` holds values of `cls`."""

    def read(message: Any) -> Page[Answer]:
        return [decode(cls, item) for item in getattr(message, items)], message.next_page_token

    return read
