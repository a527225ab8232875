"""Samples from the wire: texts and conversations, and what is wrong with one of them."""

import pytest

from palmfolio.v1 import prompts_pb2, scorer_pb2
from palmfolio_runtime.prompts import ChatMessage, Prompt
from palmfolio_scorer.protocol.lenient_decoding import (
    ScoreCall,
    read_score_request,
    read_stream_request,
)
from palmfolio_scorer.samples import Sample, SampleFailure

TURNS = (
    ChatMessage("system", "Be brief."),
    ChatMessage("user", "Hello"),
    ChatMessage("assistant", "Hi"),
    ChatMessage("user", "QQQQ?"),
)
CONVERSATION = Prompt(TURNS, reference="#### 4")
PLAIN = "system: Be brief.\nuser: Hello\nassistant: Hi\nuser: QQQQ?"
# A mark in one field of a second sample, replaced by bytes that are not UTF-8.
BAD = b"\xff\xfe\x00\x80"


def request(*samples: scorer_pb2.Sample) -> bytes:
    """A serialised request."""
    return scorer_pb2.ScoreRequest(samples=samples, traits=["short"]).SerializeToString()


def stream_request(*samples: scorer_pb2.Sample) -> bytes:
    """A serialised message of a stream."""
    items = [scorer_pb2.ScoreItem(id=str(i), sample=sample) for i, sample in enumerate(samples)]
    return scorer_pb2.ScoreStreamRequest(items=items, traits=["short"]).SerializeToString()


def test_a_conversation_with_its_reference_becomes_a_sample() -> None:
    message = scorer_pb2.Sample(prompt=CONVERSATION.to_message(), response="4")
    (sample,) = read_score_request(request(message)).samples
    assert sample == Sample(PLAIN, "4", "#### 4", TURNS)
    assert sample.messages == TURNS


def test_a_text_with_its_reference_becomes_a_sample() -> None:
    prompt = Prompt.of_text("2 + 2?", "#### 4", ["easy"]).to_message()
    (sample,) = read_score_request(request(scorer_pb2.Sample(prompt=prompt, response="4"))).samples
    assert sample == Sample("2 + 2?", "4", "#### 4")
    assert sample.messages == (ChatMessage("user", "2 + 2?"),)


def read(data: bytes, *, stream: bool) -> ScoreCall:
    """Reads either message."""
    return read_stream_request(data) if stream else read_score_request(data)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (scorer_pb2.Sample(prompt=prompts_pb2.Prompt(text="QQQQ")), "prompt"),
        (scorer_pb2.Sample(prompt=prompts_pb2.Prompt(reference="QQQQ")), "reference"),
        (scorer_pb2.Sample(response="QQQQ"), "response"),
        (scorer_pb2.Sample(prompt=CONVERSATION.to_message()), "prompt"),
    ],
)
def test_bytes_that_are_not_utf8_fail_only_their_sample(
    bad: scorer_pb2.Sample, field: str, stream: bool
) -> None:
    good = scorer_pb2.Sample(
        prompt=Prompt(TURNS[:1] + TURNS[1:2], "4").to_message(), response="fine"
    )
    data = (stream_request if stream else request)(good, bad, good)
    call = read(data.replace(b"QQQQ", BAD), stream=stream)
    assert list(call.unreadable) == [1]
    assert call.unreadable[1].field == field
    assert "not valid UTF-8 at byte 0" in call.unreadable[1].message
    assert call.samples[0] == call.samples[2] == Sample("Hello", "fine", "4", TURNS[:2])
    assert list(call.traits) == ["short"]
    assert list(call.ids) == (["0", "1", "2"] if stream else [])


def test_bad_bytes_in_tags_concern_no_trait() -> None:
    prompt = Prompt.of_text("2 + 2?", tags=["QQQQ"]).to_message()
    data = request(scorer_pb2.Sample(prompt=prompt, response="4")).replace(b"QQQQ", BAD)
    call = read_score_request(data)
    assert not call.unreadable
    assert list(call.samples) == [Sample("2 + 2?", "4")]


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(
    ("prompt", "field"),
    [
        (prompts_pb2.Prompt(text="a", messages=[prompts_pb2.ChatMessage(content="b")]), "prompt"),
        (
            prompts_pb2.Prompt(messages=[prompts_pb2.ChatMessage(content="b")]),
            "prompt.messages[0].role",
        ),
        (
            prompts_pb2.Prompt(
                messages=[prompts_pb2.ChatMessage(role=prompts_pb2.ROLE_ASSISTANT, content="b")]
            ),
            "prompt.messages",
        ),
    ],
)
def test_a_prompt_that_is_no_conversation_fails_only_its_sample(
    prompt: prompts_pb2.Prompt, field: str, lenient: bool
) -> None:
    samples = [
        scorer_pb2.Sample(response="fine"),
        scorer_pb2.Sample(prompt=prompt, response="fine"),
        scorer_pb2.Sample(response="QQQQ" if lenient else "fine"),
    ]
    call = read_score_request(request(*samples).replace(b"QQQQ", BAD))
    assert list(call.unreadable) == ([1, 2] if lenient else [1])
    assert isinstance(call.unreadable[1], SampleFailure)
    assert call.unreadable[1].field == field
