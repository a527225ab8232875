"""Reads samples from the wire; bad UTF-8 in one sample fails that sample only.

A `string` field with bad UTF-8 makes protobuf refuse the whole message. A `bytes` field has the
same wire format. So such a message is read again with a copy of the protocol whose texts are
`bytes`.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from palmfolio.v1 import prompts_pb2, scorer_pb2
from palmfolio_runtime.prompts import Prompt, prompt_problems
from palmfolio_scorer.samples import Sample, SampleFailure

_FIELD = descriptor_pb2.FieldDescriptorProto
_WITH_TEXTS = ("Sample", "Prompt", "ChatMessage")
# Keeps the position of a sample that cannot be read; its failure is in `unreadable`.
_UNREADABLE = Sample("", "")


@dataclass(frozen=True)
class ScoreCall:
    """A `ScoreRequest`, or a `ScoreStreamRequest` with its ids, as values."""

    samples: Sequence[Sample]
    traits: Sequence[str]
    unreadable: Mapping[int, SampleFailure] = field(default_factory=dict)
    """Samples whose texts are not UTF-8, or whose prompt is no conversation, by position."""
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
        samples, unreadable = _separated(_decode(each) for each in lenient.samples)
        return ScoreCall(samples, list(lenient.traits), unreadable, digest=hash(data))
    samples, unreadable = read_samples(request.samples)
    return ScoreCall(samples, list(request.traits), unreadable, digest=hash(data))


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
        samples, unreadable = _separated(_decode(item.sample) for item in lenient.items)
        return ScoreCall(samples, list(lenient.traits), unreadable, ids, hash(data))
    samples, unreadable = read_samples(item.sample for item in request.items)
    ids = [item.id for item in request.items]
    return ScoreCall(samples, list(request.traits), unreadable, ids, hash(data))


def read_samples(
    messages: Iterable[scorer_pb2.Sample],
) -> tuple[list[Sample], dict[int, SampleFailure]]:
    """The samples of a message as values, and the failures of those without one, by position."""
    return _separated(_sample(each) for each in messages)


def _separated(
    results: Iterable[Sample | SampleFailure],
) -> tuple[list[Sample], dict[int, SampleFailure]]:
    samples: list[Sample] = []
    failures: dict[int, SampleFailure] = {}
    for i, result in enumerate(results):
        if isinstance(result, SampleFailure):
            failures[i] = result
            samples.append(_UNREADABLE)
        else:
            samples.append(result)
    return samples, failures


def _sample(message: scorer_pb2.Sample) -> Sample | SampleFailure:
    prompt = message.prompt
    if not prompt.messages:
        # An empty prompt is scored: many traits read the response only.
        return Sample(prompt.text, message.response, prompt.reference)
    # The engine checks the lengths of all texts.
    if problems := prompt_problems(prompt, sys.maxsize):
        path, problem = problems[0]
        return SampleFailure("INVALID_ARGUMENT", problem, f"prompt{path}")
    return Sample.answering(Prompt.from_message(prompt), message.response)


def _decode(raw: Any) -> Sample | SampleFailure:
    """The sample of a message whose texts are bytes."""
    turns = [turn.content for turn in raw.prompt.messages]
    fields = ["prompt", "reference", "response", *["prompt"] * len(turns)]
    texts: list[str] = []
    for field_name, data in zip(
        fields, [raw.prompt.text, raw.prompt.reference, raw.response, *turns], strict=True
    ):
        try:
            texts.append(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            message = f"is not valid UTF-8 at byte {error.start}"
            return SampleFailure("INVALID_ARGUMENT", message, field_name)
    text, reference, response, *contents = texts
    prompt = prompts_pb2.Prompt(text=text, reference=reference)
    for turn, content in zip(raw.prompt.messages, contents, strict=True):
        prompt.messages.add(role=turn.role, content=content)
    return _sample(scorer_pb2.Sample(prompt=prompt, response=response))


@cache
def _with_bytes(name: str) -> Any:
    """The message of that name, with the texts of samples as `bytes`."""
    package = "palmfolio_scorer.bytes"
    file = descriptor_pb2.FileDescriptorProto(
        name=f"palmfolio_scorer/{name}.proto", package=package, syntax="proto3"
    )
    known = {
        **scorer_pb2.DESCRIPTOR.message_types_by_name,
        **prompts_pb2.DESCRIPTOR.message_types_by_name,
    }
    for message in (*_WITH_TEXTS, "ScoreItem", "ScoreRequest", "ScoreStreamRequest"):
        copy = file.message_type.add()
        known[message].CopyToProto(copy)
        for each in copy.field:
            if message in _WITH_TEXTS and each.type == _FIELD.TYPE_STRING:
                each.type = _FIELD.TYPE_BYTES
            elif each.type == _FIELD.TYPE_ENUM:  # the same bytes as its number's
                each.type = _FIELD.TYPE_INT32
                each.ClearField("type_name")
            elif each.type_name:
                each.type_name = f".{package}.{each.type_name.rsplit('.', 1)[1]}"
    # A pool of its own: the default pool already holds the real messages.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
