"""The window of a score stream: every sample once, in order, whatever server and wire do."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import palmfolio
from palmfolio._scoring.window import ScoreWindow
from palmfolio.types import Sample, Trait
from palmfolio.v1 import scorer_pb2, types_pb2

TRAITS = [Trait("length", version="1")]
LIMITS = {"max_samples": 4096, "max_characters": 50, "max_message_bytes": 2**24}


def _answer(
    items: list[scorer_pb2.ScoreItem], version: str = "1"
) -> scorer_pb2.ScoreStreamResponse:
    raw = [float(len(item.sample.response)) for item in items]
    matrix = types_pb2.RewardMatrix(
        traits=["length"], trait_versions=[version], raw=raw, normalised=[0.5] * len(raw)
    )
    matrix.statuses.extend([types_pb2.SampleStatus()] * len(raw))
    return scorer_pb2.ScoreStreamResponse(ids=[item.id for item in items], rewards=matrix)


def _taken(window: ScoreWindow) -> Iterator[palmfolio.ScoredSample]:
    while (result := window.pop()) is not None:
        yield result


@given(st.data(), st.integers(1, 40), st.integers(0, 120))
@pytest.mark.slow
def test_every_sample_comes_once_and_in_order(data: st.DataObject, size: int, count: int) -> None:
    window = ScoreWindow(TRAITS, LIMITS, size)
    samples = [Sample("p", "x" * (i % 17)) for i in range(count)]
    unread = iter(samples)
    with_server: list[scorer_pb2.ScoreItem] = []
    got: list[palmfolio.ScoredSample] = []
    while not window.finished:
        for _ in range(window.allow()):
            if (sample := next(unread, None)) is None:
                window.end(None)
            else:
                window.add(sample)
        for message in window.messages():
            with_server += message.items
        if with_server and data.draw(st.integers(0, 9)) == 0:
            window.send_again()
            with_server = []
        elif with_server:
            some = data.draw(st.integers(1, len(with_server)))
            order = data.draw(st.permutations(with_server))
            window.take_in(_answer(order[:some]))
            window.take_in(_answer(order[:some]))  # twice is once
            with_server = order[some:]
        got += _taken(window)
    assert [result.sample for result in got] == samples
    assert [result.raw[0] for result in got] == [len(sample.response) for sample in samples]


def test_no_more_is_read_than_the_window_holds() -> None:
    window = ScoreWindow(TRAITS, LIMITS, 10)
    assert window.allow() == 10 and window.allow() == 0
    for _ in range(10):
        window.add(Sample("p", "r"))
    assert window.allow() == 0
    (first, *_) = window.messages()
    window.take_in(_answer(list(first.items)))
    taken = len(list(_taken(window)))
    assert taken and window.allow() == taken


def test_large_samples_are_read_a_few_at_a_time() -> None:
    window = ScoreWindow(TRAITS, LIMITS | {"max_characters": 2**24}, 2048)
    read = 0
    while allowed := window.allow():
        for _ in range(allowed):
            window.add(Sample("p", "x" * 100_000))
            read += 1
    assert read < 1000
    (first,) = window.messages()
    window.take_in(_answer(list(first.items)))
    messages = list(window.messages())
    assert len(messages) > 1
    assert all(message.ByteSize() < 2 * 2**20 for message in messages)


def test_a_single_sample_is_sent_at_once_and_later_samples_wait_for_more() -> None:
    window = ScoreWindow(TRAITS, LIMITS, 2048)
    window.add(Sample("p", "a"))
    (single,) = window.messages()
    window.add(Sample("p", "b"))
    window.add(Sample("p", "c"))
    assert list(window.messages()) == []
    window.take_in(_answer(list(single.items)))
    (together,) = window.messages()
    assert len(together.items) == 2


def test_a_new_stream_is_tried_with_one_message() -> None:
    window = ScoreWindow(TRAITS, LIMITS, 2048)
    for _ in range(200):
        window.add(Sample("p", "a"))
    (first,) = window.messages()
    assert list(first.traits) == ["length"]
    window.take_in(_answer(list(first.items)))
    rest = list(window.messages())
    assert len(rest) > 1 and not any(message.traits for message in rest)
    window.send_again()
    (first,) = window.messages()
    assert list(first.traits) == ["length"] and first.items[0].id == rest[0].items[0].id


def test_messages_grow_with_the_servers_pace_within_its_limits() -> None:
    now = [0.0]
    window = ScoreWindow(TRAITS, LIMITS | {"max_samples": 100}, 2048, clock=lambda: now[0])
    largest = []
    for _ in range(6):
        for _ in range(window.allow()):
            window.add(Sample("p", "a"))
        messages = list(window.messages())
        largest.append(max(len(message.items) for message in messages))
        now[0] += 0.2
        for message in messages:
            window.take_in(_answer(list(message.items)))
        list(_taken(window))
    assert largest[0] < largest[-1] == 100


def test_a_tiny_queue_gets_tiny_messages() -> None:
    window = ScoreWindow(TRAITS, LIMITS | {"max_queued_samples": 16}, 2048)
    for _ in range(20):
        window.add(Sample("p", "a"))
    (first,) = window.messages()
    window.take_in(_answer(list(first.items)))
    assert all(len(message.items) == 2 for message in (first, *window.messages()))


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ("x" * 51, "response: has 51 characters; at most 50 are allowed"),
        ("ab\ud800", "response: is not valid UTF-8 at character 2"),
    ],
)
def test_what_cannot_be_sent_fails_in_its_place(response: str, message: str) -> None:
    window = ScoreWindow(TRAITS, LIMITS, 8)
    for text in ("a", response, "b"):
        window.add(Sample("p", text))
    window.end(None)
    for sent in window.messages():
        window.take_in(_answer(list(sent.items)))
    first, failed, last = _taken(window)
    assert first.status.ok and last.status.ok and math.isnan(failed.raw[0])
    assert failed.status.failure is not None and failed.status.failed_traits == ("length",)
    assert (failed.status.failure.code, failed.status.failure.message) == (
        "INVALID_ARGUMENT",
        message,
    )


def test_an_object_of_another_class_ends_the_input_after_those_before() -> None:
    window = ScoreWindow(TRAITS, LIMITS, 8)
    window.add(Sample("p", "a"))
    window.add("text")  # type: ignore[arg-type]
    window.end(None)
    (message,) = window.messages()
    window.take_in(_answer(list(message.items)))
    assert window.pop() is not None
    with pytest.raises(palmfolio.ConfigurationError, match=r"samples\[1\] is a str"):
        window.pop()


def test_results_carry_the_version_that_they_were_scored_with() -> None:
    window = ScoreWindow(TRAITS, LIMITS, 8)
    window.add(Sample("p", "a"))
    (message,) = window.messages()
    window.take_in(_answer(list(message.items), version="2"))
    result = window.pop()
    assert result is not None and result.trait_versions == ("2",)
