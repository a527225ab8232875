"""What the scorer and a worker say to each other, over a socket.

The scorer sends requests, each as its length and a pickle. The worker answers a `Load` with a
text, and a `Score` with one record for each reward as soon as it has it: so the scorer knows on
which sample a worker is.
"""

import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from palmfolio_scorer.models.sources import ModelSources
from palmfolio_scorer.samples import SampleFailure

LENGTH = struct.Struct("!Q")
_RECORD = struct.Struct("!cd")
_REWARD, _FAILURE, _LOADED, _REFUSED = b"r", b"f", b"l", b"x"

Result = float | SampleFailure
"""A raw reward, or why there is none."""


@dataclass(frozen=True)
class Load:
    """Asks for a trait to be made; it is known by `key` from then on."""

    key: str
    identity: str
    """Digest of the trait's identity in the scorer; another one in the worker is an error."""
    kind: str
    options: dict[str, Any]
    sources: ModelSources


@dataclass(frozen=True)
class Score:
    """Asks for rewards: sample after sample, and for each sample trait after trait."""

    keys: tuple[str, ...]
    samples: tuple[tuple[Any, ...], ...]
    """The fields of each `Sample`."""


@dataclass(frozen=True)
class Loaded:
    """A trait was made."""


@dataclass(frozen=True)
class Refused:
    """A trait could not be made."""

    reason: str


Answer = Result | Loaded | Refused


def request_bytes(request: Load | Score) -> bytes:
    """A request as the worker reads it."""
    data = pickle.dumps(request, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(data)) + data


def answer_bytes(answer: Answer) -> bytes:
    """An answer as the scorer reads it."""
    if isinstance(answer, Loaded):
        return _with_body(_LOADED, b"")
    if isinstance(answer, Refused):
        return _with_body(_REFUSED, answer.reason.encode("utf-8", "replace"))
    if isinstance(answer, SampleFailure):
        return _with_body(_FAILURE, pickle.dumps(answer))
    return _RECORD.pack(_REWARD, answer)


def _with_body(tag: bytes, body: bytes) -> bytes:
    return _RECORD.pack(tag, float(len(body))) + body


class AnswerBuffer:
    """Answers from bytes as they come."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, data: bytes) -> Iterator[Answer]:
        """The answers that are complete with these bytes.

        Raises:
            ValueError: the bytes are not from a worker's own code.
        """
        self._data += data
        start = 0
        while len(self._data) - start >= _RECORD.size:
            tag, value = _RECORD.unpack_from(self._data, start)
            end = start + _RECORD.size
            if tag == _REWARD:
                start = end
                yield value
                continue
            size = int(value) if tag in (_FAILURE, _LOADED, _REFUSED) and value >= 0 else -1
            if size < 0:
                raise ValueError(f"a worker sent {tag!r}")
            if len(self._data) < end + size:
                break
            yield _body(tag, bytes(self._data[end : end + size]))
            start = end + size
        del self._data[:start]


def _body(tag: bytes, body: bytes) -> Answer:
    if tag == _LOADED:
        return Loaded()
    if tag == _REFUSED:
        return Refused(body.decode())
    failure = pickle.loads(body)  # from the worker's own code
    if not isinstance(failure, SampleFailure):
        raise ValueError("a worker sent something else than a failure")
    return failure
