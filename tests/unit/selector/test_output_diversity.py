"""Output diversity: which portfolios are compared, on which answers, with which embeddings."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from palmfolio.v1 import (
    output_diversity_pb2,
    portfolios_pb2,
    scorer_pb2,
    trainer_pb2,
    types_pb2,
)
from palmfolio_runtime.clients.failures import DependencyDown
from palmfolio_runtime.clients.scorer import ScorerClient
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.prompts import Prompt
from palmfolio_selector.builds import output_diversity
from palmfolio_selector.builds.context import ServerParts
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.domain.output_diversity import (
    ComparedPortfolios,
    compared_figures,
    compared_portfolios,
    different_answers,
)
from palmfolio_selector.domain.values import Values
from palmfolio_selector.messages import portfolios as messages
from palmfolio_selector.store import evaluations, policies, portfolios, prompt_sets
from tests.support.sdk_peer import Peer, abort, serving

TRAITS = ("kind", "brief")
PROMPTS = [Prompt.of_text(f"question {index}") for index in range(3)]
NAMES = tuple(f"policies/{index}" for index in range(5))
# What each policy answers to the three prompts.
ANSWERS = (
    ("Yes, with salt.", "Boil it.", "No."),
    ("Yes, with salt.", "Fry it now.", "No."),
    ("Add some butter!", "Fry it now.", "Never."),
    ("Whatever you like.", "Ask a friend.", "Perhaps."),
    ("", "", ""),
)
WEIGHTS = [{"kind": 1.0, "brief": 0.0}, {"kind": 0.7, "brief": 0.3}, {"kind": 0.0, "brief": 1.0}]


def test_the_uniform_portfolio_is_of_those_trained_nearest_to_even_weights() -> None:
    weights = [None, *WEIGHTS]
    compared = compared_portfolios([1, 2], weights, TRAITS)
    assert compared.members == (1, 2)
    assert compared.uniform == (2, 3)
    assert all(0 not in portfolio for portfolio in compared.random)


@pytest.mark.parametrize(
    "weights",
    [
        [None, None, None],
        [{"kind": 1.0}, None, None],
        # Trained for a trait that this portfolio does not have.
        [{"kind": 1.0}, {"kind": 0.5, "safe": 0.5}, None],
    ],
)
def test_no_uniform_portfolio_where_too_few_were_trained(weights: list[Any]) -> None:
    compared = compared_portfolios([0, 2], weights, TRAITS)
    assert compared.uniform is None
    assert {policy for portfolio in compared.random for policy in portfolio} == {0, 1, 2}


@given(st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_every_portfolio_has_the_same_size(n: int, size: int, trained: bool) -> None:
    size = min(size, n)
    weights = [{"kind": 1 - i / n, "brief": i / n} if trained else None for i in range(n)]
    compared = compared_portfolios(range(size), weights, TRAITS)
    assert {len(set(portfolio)) for portfolio in compared.different} == {size}
    assert set(compared.policies) <= set(range(n))
    assert compared == compared_portfolios(range(size), weights, TRAITS)
    assert 1 <= compared.max_groups <= 128


def test_figures_by_hand() -> None:
    compared = ComparedPortfolios((0, 1), (1, 2), ((0, 1), (0, 2)))
    answers = [["a b", "a b", "c d"], ["e", "f", "f"]]
    distances = {("a b", "c d"): 0.5, ("e", "f"): 1.5}
    assert different_answers(compared, answers) == [("a b", "c d"), ("e", "f")]
    figures = compared_figures(compared, answers, distances)
    # distinct-1: 2 of 4 words and 2 of 2; distinct-2: 1 of 2 pairs of words, and no pairs.
    assert figures.portfolio.distinct[:2] == (0.75, 0.5)
    assert figures.portfolio.distinct[2] is None
    assert figures.portfolio.embedding_distance == (0 + 1.5) / 2
    assert figures.uniform is not None
    assert figures.uniform.distinct[:2] == (0.75, 1.0)
    assert figures.uniform.embedding_distance == (0.5 + 0) / 2
    assert figures.random.distinct[0] == (0.75 + 1.0) / 2
    assert figures.random.embedding_distance == (0.75 + (0.5 + 1.5) / 2) / 2
    assert figures.groups == 2


def test_distances_that_are_not_known_do_not_count() -> None:
    compared = ComparedPortfolios((0, 1), None, ((0, 1),))
    answers = [["a", "b"], ["c", "d"]]
    assert compared_figures(compared, answers, {}).portfolio.embedding_distance is None
    # Equal answers have the distance 0, but only where distances were measured at all.
    same = [["a", "a"]]
    assert compared_figures(compared, same, {}).portfolio.embedding_distance == 0.0
    assert compared_figures(compared, same, None).portfolio.embedding_distance is None
    known = compared_figures(compared, answers, {("a", "b"): 0.25})
    assert known.portfolio.embedding_distance == 0.25


def _store(session: Session) -> Measurement:
    prompt_set = prompt_sets.add(session, [*PROMPTS, PROMPTS[0]], "")
    keys = prompt_sets.ensure_prompts(session, PROMPTS)
    sampling = evaluations.ensure_sampling(session, {"temperature": 1.0})
    other = evaluations.ensure_sampling(session, {"temperature": 2.0})
    for index, answers in enumerate(ANSWERS):
        spec = trainer_pb2.PolicySpec()
        if index < len(WEIGHTS):
            spec.weights.values.update(WEIGHTS[index])
        key = policies.remember(session, trainer_pb2.Policy(name=NAMES[index], spec=spec)).key
        rows = [(keys[p.digest], 0, text) for p, text in zip(PROMPTS, answers, strict=True)]
        # The second samples of the last policy are missing, and a third sample is not wanted.
        if index < 4:
            rows += [(key, 1, f"{text} again") for key, _, text in rows]
        rows += [(keys[PROMPTS[0].digest], 2, "unwanted")]
        evaluations.add_responses(session, key, sampling, rows)
        evaluations.add_responses(session, key, other, rows)
    return Measurement(prompt_set.id, 3, sampling, 2, {"kind": 1, "brief": 2})


@pytest.fixture
async def measurement(parts: ServerParts) -> Measurement:
    """Five policies that answered three prompts, on both databases."""
    return await parts.database.run(_store)


async def test_common_answers_are_read_in_a_fixed_order(
    parts: ServerParts, measurement: Measurement
) -> None:
    async def read(*names: str, limit: int = 100) -> list[list[str]]:
        return await parts.database.run(evaluations.common_answers, measurement, names, limit)

    firsts = [[ANSWERS[2][p], ANSWERS[0][p]] for p in range(3)]
    seconds = [[f"{left} again", f"{right} again"] for left, right in firsts]
    assert await read(NAMES[2], NAMES[0]) == firsts + seconds
    assert await read(NAMES[2], NAMES[0], limit=4) == (firsts + seconds)[:4]
    assert await read(NAMES[4], NAMES[0]) == [["", answer] for answer in ANSWERS[0]]
    assert await read(NAMES[0], "policies/unknown") == []


def _values(count: int = 4) -> Values:
    return Values(names=NAMES[:count], traits=TRAITS, V=np.ones((count, 2)), base=None)


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A scorer whose embedding trait finds any two texts as alike as they are long."""
    with serving() as peer:
        peer.on("GetServerInfo", lambda *_: types_pb2.ServerInfo(limits={"max_samples": 2}))
        peer.on("ListTraits", lambda *_: scorer_pb2.ListTraitsResponse(traits=[BRIEF, MEANING]))
        peer.on("Score", _score)
        yield peer


BRIEF = scorer_pb2.Trait(name="traits/brief", kind="verifier", version="1", fields=["response"])
MEANING = scorer_pb2.Trait(
    name="traits/meaning",
    kind="embedding_similarity",
    version="m1",
    fields=["reference", "response"],
)


def _cosine(left: str, right: str) -> float:
    return min(len(left), len(right)) / max(len(left), len(right))


def _score(request: scorer_pb2.ScoreRequest, _: object) -> scorer_pb2.ScoreResponse:
    assert list(request.traits) == ["meaning"]
    raw = []
    for sample in request.samples:
        left, right = sample.prompt.reference, sample.response
        assert left < right and not sample.prompt.text
        raw.append(_cosine(left, right) if left else math.nan)
    rewards = types_pb2.RewardMatrix(traits=["meaning"], raw=raw, normalised=raw)
    return scorer_pb2.ScoreResponse(rewards=rewards)


async def _measured(
    parts: ServerParts,
    measurement: Measurement,
    peer: Peer | None,
    members: tuple[int, ...] = (0, 1),
    count: int = 4,
    waits: bool = False,
) -> output_diversity_pb2.OutputDiversity | None:
    values, rows = _values(count), np.array(members)
    if peer is None:
        return await output_diversity.measure(parts, measurement, values, rows, waits=waits)
    scorer = ScorerClient(Endpoint(address=peer.address), parts.config.limits)
    try:
        parts = replace(parts, scorer=scorer)
        return await output_diversity.measure(parts, measurement, values, rows, waits=waits)
    finally:
        await scorer.close()


async def test_a_portfolio_is_measured_with_the_scorers_embeddings(
    parts: ServerParts, measurement: Measurement, peer: Peer
) -> None:
    message = await _measured(parts, measurement, peer, members=(0, 3))
    assert message is not None
    assert (message.groups, message.random_draws) == (6, 8)
    assert (message.embedding_trait, message.embedding_trait_version) == ("meaning", "m1")
    assert message.embedding_problem == ""
    texts = [(ANSWERS[0][p], ANSWERS[3][p]) for p in range(3)]
    texts += [(f"{left} again", f"{right} again") for left, right in texts]
    expected = sum(1 - _cosine(*pair) for pair in texts) / 6
    assert message.portfolio.embedding_distance == pytest.approx(expected, abs=1e-6)
    assert list(message.portfolio.policies) == [NAMES[0], NAMES[3]]
    assert list(message.uniform.policies) == [NAMES[1], NAMES[2]]
    assert not message.random.policies
    # Each pair is asked for once, in calls that the scorer takes.
    asked = [
        (sample.prompt.reference, sample.response)
        for request in peer.requests("Score")
        for sample in request.samples
    ]
    assert len(set(asked)) == len(asked)
    assert {len(request.samples) for request in peer.requests("Score")} <= {1, 2}


async def test_the_same_answers_have_no_distance(
    parts: ServerParts, measurement: Measurement, peer: Peer
) -> None:
    """Also where the scorer cannot embed them."""
    message = await _measured(parts, measurement, peer, members=(4,), count=5)
    assert message is not None
    assert not message.portfolio.HasField("self_bleu")
    assert not message.portfolio.HasField("embedding_distance")
    assert message.embedding_problem == "a single member has no other to be compared with"
    assert math.isnan(message.portfolio.distinct[0])
    assert peer.requests("Score") == []


@pytest.mark.parametrize(
    ("traits", "problem"),
    [
        ([BRIEF], "the scorer has no trait of the kind embedding_similarity"),
        (
            [
                scorer_pb2.Trait(
                    name="traits/meaning", kind="embedding_similarity", failure="no such model"
                )
            ],
            "no trait of the kind embedding_similarity can be scored: meaning: no such model",
        ),
        (
            [scorer_pb2.Trait(name="traits/meaning", kind="embedding_similarity")],
            "the scorer cannot be asked: UNAVAILABLE: it is still loading meaning",
        ),
    ],
)
async def test_without_an_embedding_trait_the_distance_is_absent_and_that_is_said(
    parts: ServerParts,
    measurement: Measurement,
    peer: Peer,
    traits: list[scorer_pb2.Trait],
    problem: str,
) -> None:
    peer.on("ListTraits", lambda *_: scorer_pb2.ListTraitsResponse(traits=traits))
    message = await _measured(parts, measurement, peer)
    assert message is not None
    assert message.embedding_problem == problem
    assert message.embedding_trait == "" and message.embedding_trait_version == ""
    for figures in (message.portfolio, message.uniform, message.random):
        assert not figures.HasField("embedding_distance")
        assert figures.HasField("self_bleu") and len(figures.distinct) == 4


async def test_the_portfolios_own_embedding_trait_is_preferred(
    parts: ServerParts, measurement: Measurement, peer: Peer
) -> None:
    own = scorer_pb2.Trait()
    own.CopyFrom(MEANING)
    own.name, own.fields[:] = "traits/kind", ["prompt", "response"]
    peer.on("ListTraits", lambda *_: scorer_pb2.ListTraitsResponse(traits=[MEANING, own]))
    rewards = types_pb2.RewardMatrix(raw=[0.5, 0.5])

    def score(request: scorer_pb2.ScoreRequest, _: object) -> scorer_pb2.ScoreResponse:
        assert list(request.traits) == ["kind"]
        assert all(sample.prompt.text and not sample.prompt.reference for sample in request.samples)
        del rewards.raw[len(request.samples) :]
        return scorer_pb2.ScoreResponse(rewards=rewards)

    peer.on("Score", score)
    message = await _measured(parts, measurement, peer, members=(0, 3))
    assert message is not None and message.embedding_trait == "kind"
    assert message.portfolio.embedding_distance == 0.5


async def test_a_scorer_that_refuses_leaves_the_other_figures(
    parts: ServerParts, measurement: Measurement, peer: Peer
) -> None:
    peer.on(
        "Score", lambda _, context: abort(context, grpc.StatusCode.INVALID_ARGUMENT, "too long")
    )
    for waits in (False, True):
        message = await _measured(parts, measurement, peer, waits=waits)
        assert message is not None
        assert message.embedding_problem == "the scorer cannot be asked: INVALID_ARGUMENT: too long"
        assert message.portfolio.HasField("self_bleu")


async def test_only_a_build_waits_for_a_scorer_that_is_away(
    parts: ServerParts, measurement: Measurement
) -> None:
    message = await _measured(parts, measurement, None)
    assert message is not None and "the scorer cannot be asked" in message.embedding_problem
    with pytest.raises(DependencyDown):
        await _measured(parts, measurement, None, waits=True)


async def test_nothing_is_measured_without_stored_answers(
    parts: ServerParts, measurement: Measurement, peer: Peer
) -> None:
    elsewhere = replace(measurement, sampling=measurement.sampling + 100)
    assert await _measured(parts, elsewhere, peer) is None
    assert peer.calls == []


async def test_the_order_of_candidates_does_not_matter(
    parts: ServerParts, measurement: Measurement, peer: Peer
) -> None:
    """For the portfolio; the others are chosen by position."""
    seen = set()
    for order in itertools.permutations((0, 1, 3)):
        message = await _measured(parts, measurement, peer, members=order)
        assert message is not None
        seen.add(message.SerializeToString(deterministic=True))
    assert len(seen) == 1


@pytest.mark.parametrize("measured", [True, False])
async def test_a_stored_portfolio_keeps_its_figures(parts: ServerParts, measured: bool) -> None:
    """One that an earlier version stored has none, and is read as before."""
    result = portfolios_pb2.Portfolio(certificate=portfolios_pb2.Certificate(gap=0.25))
    if measured:
        result.output_diversity.portfolio.distinct.extend([0.5, math.nan])
        result.output_diversity.portfolio.self_bleu = 0.25
        result.output_diversity.groups = 7

    def store(session: Session) -> portfolios_pb2.Portfolio:
        row = portfolios.add(session, "p", portfolios_pb2.PortfolioSpec(traits=TRAITS))
        portfolios.publish(session, row, result, [])
        return messages.portfolio(session, row, answers=False)

    stored = await parts.database.run(store)
    assert stored.HasField("output_diversity") == measured
    assert (
        stored.output_diversity.SerializeToString() == result.output_diversity.SerializeToString()
    )
    assert stored.certificate == result.certificate
