"""Rewards over gRPC: what is trained on, what is waited for, and what is refused."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from google.rpc import status_pb2

from palmfolio.v1 import scorer_pb2, scorer_pb2_grpc, types_pb2
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.limits import Limits
from palmfolio_runtime.prompts import ChatMessage, Prompt
from palmfolio_trainer.training.rewards import ScorerRewards
from palmfolio_trainer.training.task import RewardError, TrainingCancelled
from tests.support.prompts import text_prompts

VERSIONS = {"brevity": "b1", "warmth": "w1"}


def matrix(normalised: list[float], **changes: object) -> scorer_pb2.ScoreResponse:
    """An answer of two samples on two traits."""
    fields: dict[str, object] = {
        "traits": list(VERSIONS),
        "trait_versions": list(VERSIONS.values()),
        "raw": normalised,
        "normalised": normalised,
        "statuses": [types_pb2.SampleStatus()] * 2,
    }
    rewards = types_pb2.RewardMatrix(**{**fields, **changes})  # type: ignore[arg-type]
    return scorer_pb2.ScoreResponse(rewards=rewards)


GOOD = matrix([0.1, 0.2, 0.3, 0.4])


class ScriptedScorer(scorer_pb2_grpc.ScorerServicer):
    """Answers what a test says, in order; the last answer is repeated."""

    def __init__(self) -> None:
        self.answers: list[scorer_pb2.ScoreResponse | grpc.StatusCode] = [GOOD]
        self.requests: list[scorer_pb2.ScoreRequest] = []
        self.address = ""

    def Score(
        self, request: scorer_pb2.ScoreRequest, context: grpc.ServicerContext
    ) -> scorer_pb2.ScoreResponse:
        """The next answer."""
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, grpc.StatusCode):
            context.abort(answer, "scripted")
        assert isinstance(answer, scorer_pb2.ScoreResponse)
        return answer


@pytest.fixture
def scorer() -> Iterator[ScriptedScorer]:
    """A scripted scorer on a real socket, at `scorer.address`."""
    # The base class answers the calls that are not scripted; only its types say abstract.
    scripted = ScriptedScorer()  # type: ignore[abstract]
    server = grpc.server(ThreadPoolExecutor(2))
    scorer_pb2_grpc.add_ScorerServicer_to_server(scripted, server)
    scripted.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield scripted
    server.stop(None)


class Waits(list[str]):
    """Notes what is waited for."""


def rewards(
    scorer: ScriptedScorer,
    waits: Waits,
    patience: float = 30.0,
    should_stop: Callable[[], bool] = lambda: False,
    on_missing: Callable[[str], None] = lambda _: None,
) -> ScorerRewards:
    """Rewards from the scripted scorer."""
    address = scorer.address
    return ScorerRewards(
        Endpoint(address=address),
        Limits(),
        VERSIONS,
        10.0,
        patience,
        waits.append,
        should_stop,
        on_missing,
    )


@pytest.fixture
def waits() -> Waits:
    """What was waited for."""
    return Waits()


def test_one_call_scores_a_batch(scorer: ScriptedScorer, waits: Waits) -> None:
    values = rewards(scorer, waits)(list(text_prompts("p", "p")), ["a", "b"])
    np.testing.assert_allclose(values, [[0.1, 0.2], [0.3, 0.4]], rtol=1e-6)
    (request,) = scorer.requests
    assert list(request.traits) == list(VERSIONS)
    assert [(s.prompt.text, s.response) for s in request.samples] == [("p", "a"), ("p", "b")]
    assert not waits


def test_the_scorer_gets_the_whole_record(scorer: ScriptedScorer, waits: Waits) -> None:
    turns = (ChatMessage("system", "Be brief."), ChatMessage("user", "2 + 2?"))
    asked = [Prompt(turns, "#### 4", ("easy",)), Prompt.of_text("2 + 3?", "#### 5")]
    rewards(scorer, waits)(asked, ["4", "6"])
    (request,) = scorer.requests
    assert [Prompt.from_message(sample.prompt) for sample in request.samples] == asked
    assert [sample.prompt.reference for sample in request.samples] == ["#### 4", "#### 5"]


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ],
)
def test_a_scorer_that_comes_back_is_waited_for(
    scorer: ScriptedScorer, waits: Waits, code: grpc.StatusCode
) -> None:
    scorer.answers = [code, code, GOOD]
    assert rewards(scorer, waits)(list(text_prompts("p", "p")), ["a", "b"]).shape == (2, 2)
    assert len(scorer.requests) == 3
    (wait,) = waits
    assert "scorer" in wait
    assert code.name in wait


def test_patience_ends(scorer: ScriptedScorer, waits: Waits) -> None:
    scorer.answers = [grpc.StatusCode.UNAVAILABLE]
    with pytest.raises(RewardError, match=r"scorer at 127\.0\.0\.1.* could not be reached"):
        rewards(scorer, waits, patience=0.3)(list(text_prompts("p", "p")), ["a", "b"])


def test_waiting_ends_when_the_training_is_to_stop(scorer: ScriptedScorer, waits: Waits) -> None:
    scorer.answers = [grpc.StatusCode.UNAVAILABLE]
    with pytest.raises(TrainingCancelled):
        rewards(scorer, waits, should_stop=lambda: bool(waits))(
            list(text_prompts("p", "p")), ["a", "b"]
        )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "refused: INVALID_ARGUMENT"),
        (matrix([0.1, 0.2, float("nan"), 0.4]), "not a number"),
        (matrix([0.1, 0.2]), "answered 2 rewards"),
        (matrix([0.1] * 4, statuses=[types_pb2.SampleStatus()]), "1 statuses"),
        (matrix([0.1] * 4, trait_versions=["b2", "w1"]), "a trait changed"),
    ],
)
def test_rewards_that_cannot_be_trained_on_are_refused_at_once(
    scorer: ScriptedScorer,
    waits: Waits,
    answer: scorer_pb2.ScoreResponse | grpc.StatusCode,
    reason: str,
) -> None:
    scorer.answers = [answer]
    with pytest.raises(RewardError, match=reason):
        rewards(scorer, waits)(list(text_prompts("p", "p")), ["a", "b"])
    assert len(scorer.requests) == 1


def one_failed(code: int, *traits: str) -> scorer_pb2.ScoreResponse:
    """An answer in which the second sample has no reward on some traits."""
    values = [0.1, 0.2, *(float("nan") if trait in traits else 0.3 for trait in VERSIONS)]
    failed = types_pb2.SampleStatus(
        status=status_pb2.Status(code=code, message="too odd"), failed_traits=list(traits)
    )
    return matrix(values, statuses=[types_pb2.SampleStatus(), failed])


@pytest.mark.parametrize("code", [3, 13])
@pytest.mark.parametrize("traits", [("warmth",), ("brevity",), ("brevity", "warmth")])
def test_a_missing_reward_is_nan_and_reported_once(
    scorer: ScriptedScorer, waits: Waits, code: int, traits: tuple[str, ...]
) -> None:
    scorer.answers = [one_failed(code, *traits)]
    missing: list[str] = []
    rewarder = rewards(scorer, waits, on_missing=missing.append)
    for _ in range(3):
        values = rewarder(list(text_prompts("p", "p")), ["a", "b"])
        np.testing.assert_allclose(values[0], [0.1, 0.2], rtol=1e-6)
        assert np.isnan(values[1]).tolist() == [trait in traits for trait in VERSIONS]
    (message,) = missing
    assert f"1 of 2 completions have no reward on {', '.join(traits)}" in message
    assert "too odd" in message
    assert not waits


@pytest.mark.parametrize("code", [4, 14])
def test_a_trait_that_is_away_is_waited_for_and_counts_as_no_judgement(
    scorer: ScriptedScorer, waits: Waits, code: int
) -> None:
    scorer.answers = [one_failed(code, "warmth"), one_failed(code, "warmth"), GOOD]
    values = rewards(scorer, waits)(list(text_prompts("p", "p")), ["a", "b"])
    np.testing.assert_allclose(values, [[0.1, 0.2], [0.3, 0.4]], rtol=1e-6)
    (wait,) = waits
    assert "warmth: too odd" in wait


def test_patience_with_a_trait_that_is_away_ends(scorer: ScriptedScorer, waits: Waits) -> None:
    scorer.answers = [one_failed(14, "warmth")]
    with pytest.raises(RewardError, match=r"1 of 2 samples on warmth for 0 s: too odd"):
        rewards(scorer, waits, patience=0.3)(list(text_prompts("p", "p")), ["a", "b"])
