"""`ScoreStream` and `Calibrate` over a real socket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from palmfolio.v1 import prompts_pb2, scorer_pb2
from tests.support.services.scorer_process import ScorerProcess, running_scorer

SCORER = "palmfolio.v1.Scorer"
LENGTH = {"kind": "verifier", "check": "length"}
FALLING = {"kind": "minmax", "low": 100, "high": 0}


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScorerProcess]:
    """A scorer of lengths: its rewards are known, and it starts fast."""
    folder = tmp_path_factory.mktemp("lengths")
    traits = [{"name": "short", "normalisation": FALLING} | LENGTH]
    settings: dict[str, Any] = {"state_dir": str(folder / "state"), "stream_window": 40}
    with running_scorer(folder, traits=traits, **settings) as running:
        yield running


def _items(first: int, count: int) -> list[scorer_pb2.ScoreItem]:
    return [
        scorer_pb2.ScoreItem(id=str(i), sample=scorer_pb2.Sample(response="x" * (i % 97)))
        for i in range(first, first + count)
    ]


def test_a_stream_answers_every_item_under_its_id(lengths: ScorerProcess) -> None:
    def requests() -> Iterator[scorer_pb2.ScoreStreamRequest]:
        for first in range(0, 3000, 30):
            yield scorer_pb2.ScoreStreamRequest(traits=["short"], items=_items(first, 30))

    rewards: dict[str, float] = {}
    for response in lengths.stub.ScoreStream(requests(), timeout=60):
        assert list(response.rewards.traits) == ["short"]
        for name, raw in zip(response.ids, response.rewards.raw, strict=True):
            assert name not in rewards
            rewards[name] = raw
    assert rewards == {str(i): i % 97 for i in range(3000)}


def test_a_stream_reads_no_further_than_its_window_while_the_client_does_not_read(
    lengths: ScorerProcess,
) -> None:
    sent = []

    def requests() -> Iterator[scorer_pb2.ScoreStreamRequest]:
        padding = "y" * 20_000
        for i in range(2000):
            sent.append(i)
            sample = scorer_pb2.Sample(prompt=prompts_pb2.Prompt(text=padding))
            item = scorer_pb2.ScoreItem(id=str(i), sample=sample)
            yield scorer_pb2.ScoreStreamRequest(items=[item] * 10)

    responses = lengths.stub.ScoreStream(requests(), timeout=60)
    next(responses)
    # A healthy answer shows that the server has had its turn.
    for _ in range(50):
        lengths.info()
    assert len(sent) < 1000
    responses.cancel()


def test_a_poisoned_item_of_a_stream_fails_no_other(lengths: ScorerProcess) -> None:
    request = scorer_pb2.ScoreStreamRequest(items=_items(1, 2)).SerializeToString()
    stream: Any = lengths.channel.stream_stream(
        f"/{SCORER}/ScoreStream",
        response_deserializer=scorer_pb2.ScoreStreamResponse.FromString,
    )
    (response,) = stream(iter([request.replace(b"xx", b"\xff\xfe")]), timeout=20)
    assert list(response.ids) == ["1", "2"]
    assert [status.status.code for status in response.rewards.statuses] == [0, 3]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (scorer_pb2.ScoreStreamRequest(), "items"),
        (scorer_pb2.ScoreStreamRequest(traits=["nope"], items=_items(0, 1)), "nope"),
    ],
)
def test_a_bad_stream_ends_with_the_field(
    lengths: ScorerProcess, request_: scorer_pb2.ScoreStreamRequest, field: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        list(lengths.stub.ScoreStream(iter([request_]), timeout=20))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field in (refused.value.details() or "")


def _calibrate(count: int = 20, **fields: Any) -> scorer_pb2.CalibrateRequest:
    values: dict[str, Any] = {
        "trait": "traits/short",
        "samples": [scorer_pb2.Sample(response="x" * (5 + i)) for i in range(count)],
        "method": scorer_pb2.CALIBRATION_METHOD_MINMAX,
        "request_id": "first",
    }
    return scorer_pb2.CalibrateRequest(**values | fields)


def test_calibration_gives_a_new_version_that_outlives_a_restart(tmp_path: Path) -> None:
    traits = [{"name": "short", "normalisation": FALLING} | LENGTH]
    config: dict[str, Any] = {"traits": traits, "state_dir": str(tmp_path / "state")}
    with running_scorer(tmp_path, **config) as scorer:
        dry = scorer.stub.Calibrate(_calibrate(validate_only=True, request_id=""))
        (listed,) = scorer.stub.ListTraits(scorer_pb2.ListTraitsRequest()).traits
        assert listed.version == dry.previous_version != dry.trait.version
        done = scorer.stub.Calibrate(_calibrate())
        assert done == dry and done.trait.normalisation == "minmax(24, 5)"
        assert done.scored_samples == 20 and done.raw_quantiles[0] == 5
        again = scorer.stub.Calibrate(_calibrate())
        assert again.trait == done.trait and again.previous_version == done.trait.version
        with pytest.raises(grpc.RpcError) as refused:
            scorer.stub.Calibrate(_calibrate(count=30))
        assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS
    with running_scorer(tmp_path, **config) as scorer:
        sample = scorer_pb2.Sample(response="x" * 5)
        rewards = scorer.stub.Score(scorer_pb2.ScoreRequest(samples=[sample])).rewards
        assert list(rewards.trait_versions) == [done.trait.version]
        assert list(rewards.raw) == [5] and list(rewards.normalised) == [1]


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"trait": "nope"}, grpc.StatusCode.INVALID_ARGUMENT, "trait: .*short"),
        ({"count": 7}, grpc.StatusCode.INVALID_ARGUMENT, "samples: .*8 to"),
        ({"method": 0}, grpc.StatusCode.INVALID_ARGUMENT, "method: .*MINMAX"),
        ({"tail": 0.5}, grpc.StatusCode.INVALID_ARGUMENT, "tail: "),
        ({"request_id": ""}, grpc.StatusCode.INVALID_ARGUMENT, "request_id"),
        (
            {"samples": [scorer_pb2.Sample()] * 9},
            grpc.StatusCode.INVALID_ARGUMENT,
            "samples: all raw rewards",
        ),
        (
            {"samples": [scorer_pb2.Sample(prompt=prompts_pb2.Prompt(text="x" * 40_000))] * 9},
            grpc.StatusCode.FAILED_PRECONDITION,
            "0 of 9 samples",
        ),
    ],
)
def test_what_cannot_be_calibrated_is_explained(
    lengths: ScorerProcess, fields: dict[str, Any], code: grpc.StatusCode, message: str
) -> None:
    with pytest.raises(grpc.RpcError, match=message) as refused:
        lengths.stub.Calibrate(_calibrate(**fields))
    assert refused.value.code() == code


def test_without_a_state_directory_nothing_is_calibrated(scorer: ScorerProcess) -> None:
    with pytest.raises(grpc.RpcError, match="state_dir") as refused:
        scorer.stub.Calibrate(_calibrate(trait="brevity"))
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
