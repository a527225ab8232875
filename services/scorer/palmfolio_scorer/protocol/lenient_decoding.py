"""Reads samples from the wire; bad UTF-8 in one sample fails that sample only.

A `string` field with bad UTF-8 makes protobuf refuse the whole message. A `bytes` field has the
same wire format. So such a message is read again with a copy of the protocol whose texts are
`bytes`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from palmfolio.v1 import scorer_pb2
from palmfolio_scorer.samples import TEXT_FIELDS, Sample, SampleFailure

_BYTES = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
# Keeps the position of a sample that cannot be read; its failure is in `unreadable`.
_UNREADABLE = Sample("", "")


@dataclass(frozen=True)
class ScoreCall:
    """A `ScoreRequest`, or a `ScoreStreamRequest` with its ids, as values."""

    samples: Sequence[Sample]
    traits: Sequence[str]
    unreadable: Mapping[int, SampleFailure] = field(default_factory=dict)
    """Samples whose texts are not UTF-8, by position."""
    ids: Sequence[str] = ()
    digest: int = 0
    """Of the bytes it was read from: equal when the same request is sent again. Holds within one
    process (it is Python's `hash`)."""


def read_score_request(data: bytes) -> ScoreCall:
    """Reads a serialised `ScoreRequest`.

    Raises:
        DecodeError: the bytes are not a `ScoreRequest`, or a trait's name is not UTF-8.
    """
    try:
        request = scorer_pb2.ScoreRequest.FromString(data)
    except DecodeError:
        lenient = _with_bytes("ScoreRequest").FromString(data)
        return _read(lenient.samples, lenient.traits, hash(data))
    return ScoreCall(samples_of(request.samples), list(request.traits), digest=hash(data))


def read_stream_request(data: bytes) -> ScoreCall:
    """Reads a serialised `ScoreStreamRequest`.

    Raises:
        DecodeError: the bytes are not such a message, or an id or a trait's name is not UTF-8.
    """
    try:
        request = scorer_pb2.ScoreStreamRequest.FromString(data)
    except DecodeError:
        lenient = _with_bytes("ScoreStreamRequest").FromString(data)
        ids = [item.id for item in lenient.items]
        samples = [item.sample for item in lenient.items]
        return _read(samples, lenient.traits, hash(data), ids)
    samples = samples_of(item.sample for item in request.items)
    ids = [item.id for item in request.items]
    return ScoreCall(samples, list(request.traits), ids=ids, digest=hash(data))


def samples_of(messages: Iterable[scorer_pb2.Sample]) -> list[Sample]:
    """The samples of a message as values."""
    return [Sample(each.prompt, each.response, each.reference) for each in messages]


def _read(
    raw_samples: Sequence[Any], traits: Sequence[str], digest: int, ids: Sequence[str] = ()
) -> ScoreCall:
    samples: list[Sample] = []
    unreadable: dict[int, SampleFailure] = {}
    for i, raw in enumerate(raw_samples):
        sample = _decode(raw)
        if isinstance(sample, SampleFailure):
            unreadable[i] = sample
            sample = _UNREADABLE
        samples.append(sample)
    return ScoreCall(samples, list(traits), unreadable, ids, digest)


def _decode(raw: Any) -> Sample | SampleFailure:
    texts = []
    for name in TEXT_FIELDS:
        try:
            texts.append(getattr(raw, name).decode("utf-8"))
        except UnicodeDecodeError as error:
            message = f"is not valid UTF-8 at byte {error.start}"
            return SampleFailure("INVALID_ARGUMENT", message, name)
    return Sample(*texts)


@cache
def _with_bytes(name: str) -> Any:
    """The message of that name, with `Sample`'s texts as `bytes`."""
    package = "palmfolio_scorer.bytes"
    file = descriptor_pb2.FileDescriptorProto(
        name=f"palmfolio_scorer/{name}.proto", package=package, syntax="proto3"
    )
    for message in ("Sample", "ScoreItem", "ScoreRequest", "ScoreStreamRequest"):
        copy = file.message_type.add()
        scorer_pb2.DESCRIPTOR.message_types_by_name[message].CopyToProto(copy)
        for each in copy.field:
            if message == "Sample":
                each.type = _BYTES
            elif each.type_name:
                each.type_name = f".{package}.{each.type_name.rsplit('.', 1)[1]}"
    # A pool of its own: the default pool already holds the real messages.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
