"""The scorer's calls."""

from collections.abc import Iterable, Sequence
from typing import Any

from palmfolio import types
from palmfolio._calls.call import (
    Call,
    Page,
    new_request_id,
    page_reader,
    reader,
    resource,
    unchanged,
)
from palmfolio._codec import decode, encode
from palmfolio.v1 import scorer_pb2


def list_traits(page_token: str) -> Call[Page[types.Trait]]:
    """`ListTraits`."""
    request = scorer_pb2.ListTraitsRequest(page_token=page_token)
    return Call("scorer", "ListTraits", request, page_reader(types.Trait, "traits"))


def score(samples: Iterable[types.Sample], traits: Sequence[str]) -> Call[types.Rewards]:
    """`Score`."""
    request = scorer_pb2.ScoreRequest(traits=list(traits))
    for sample in samples:
        encode(sample, request.samples.add())
    return Call("scorer", "Score", request, _read_rewards, limit="score")


def score_stream() -> Call[Any]:
    """`ScoreStream`; `_scoring` makes the requests and reads the answers."""
    return Call("scorer", "ScoreStream", None, unchanged, limit="score")


def calibrate(
    trait: str,
    samples: Iterable[types.Sample],
    method: types.CalibrationMethod,
    tail: float,
    validate_only: bool,
    request_id: str | None,
) -> Call[types.Calibration]:
    """`Calibrate`."""
    request = scorer_pb2.CalibrateRequest(
        trait=resource("traits", trait),
        method=scorer_pb2.CalibrationMethod.Value(f"CALIBRATION_METHOD_{method.name}"),
        tail=tail,
        validate_only=validate_only,
        request_id=request_id or new_request_id(),
    )
    for sample in samples:
        encode(sample, request.samples.add())
    return Call("scorer", "Calibrate", request, reader(types.Calibration), limit="score")


def _read_rewards(message: Any) -> types.Rewards:
    return decode(types.Rewards, message.rewards)
