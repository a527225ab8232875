"""Imports as a stream of messages, and selections: what travels, what comes back, what fails."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

import palmfolio
from palmfolio import ImportedEvaluation
from palmfolio.v1 import evaluations_pb2, selector_pb2
from tests.support.sdk_peer import Peer, abort

TRAITS = ("brief", "kind")

Import = Callable[[Iterator[ImportedEvaluation]], Any]


@pytest.fixture(params=["threads", "asyncio"])
def load(request: pytest.FixtureRequest, endpoints: dict[str, str]) -> Import:
    """An import by either client."""

    def by_threads(rows: Iterator[ImportedEvaluation]) -> Any:
        with palmfolio.Client(endpoints) as client:
            return client.selector.import_evaluations("study", TRAITS, rows)

    async def by_asyncio(rows: Iterator[ImportedEvaluation]) -> Any:
        async with palmfolio.AsyncClient(endpoints) as client:
            return await client.selector.import_evaluations("study", TRAITS, rows)

    def run(rows: Iterator[ImportedEvaluation]) -> Any:
        return by_threads(rows) if request.param == "threads" else asyncio.run(by_asyncio(rows))

    return run


@pytest.fixture
def messages(peer: Peer) -> list[selector_pb2.ImportEvaluationsRequest]:
    """The messages that came."""
    came: list[selector_pb2.ImportEvaluationsRequest] = []

    def answer(requests: Any, context: Any) -> selector_pb2.ImportEvaluationsResponse:
        came.extend(requests)
        rows = sum(len(message.evaluations) for message in came)
        return selector_pb2.ImportEvaluationsResponse(rows=rows, prompt_set="promptSets/1")

    peer.on("ImportEvaluations", answer)
    return came


def _rows(count: int, prompt: str = "why?") -> Iterator[ImportedEvaluation]:
    return (ImportedEvaluation(f"p{index}", (0.25, 0.5), prompt) for index in range(count))


def test_rows_travel_in_messages_of_a_thousand(load: Import, messages: list[Any]) -> None:
    assert load(_rows(2500)).rows == 2500
    assert [len(message.evaluations) for message in messages] == [1000, 1000, 500]
    assert [message.source for message in messages] == ["study", "", ""]
    assert list(messages[0].traits) == list(TRAITS)
    names = [row.policy for message in messages for row in message.evaluations]
    assert names == [f"policies/p{index}" for index in range(2500)]
    assert list(messages[2].evaluations[499].rewards) == [0.25, 0.5]


def test_long_prompts_travel_in_smaller_messages(load: Import, messages: list[Any]) -> None:
    assert load(_rows(100, "é" * 30_000)).rows == 100
    assert len(messages) > 1
    assert max(message.ByteSize() for message in messages) < 2**21


def test_no_rows_are_left_to_the_server_to_refuse(load: Import, messages: list[Any]) -> None:
    assert load(iter(())).rows == 0
    assert [message.source for message in messages] == ["study"]


def test_an_error_of_the_rows_is_raised_as_it_is(load: Import, messages: list[Any]) -> None:
    def broken() -> Iterator[ImportedEvaluation]:
        yield from _rows(1500)
        raise KeyError("column")

    with pytest.raises(KeyError, match="column"):
        load(broken())


def test_a_refusal_ends_an_import_that_still_sends(peer: Peer, load: Import) -> None:
    def refuse(requests: Any, context: grpc.ServicerContext) -> Any:
        next(requests)
        abort(context, grpc.StatusCode.ALREADY_EXISTS, "another reward is stored")

    peer.on("ImportEvaluations", refuse)
    sent = 0

    def endless() -> Iterator[ImportedEvaluation]:
        nonlocal sent
        while True:
            sent += 1
            yield ImportedEvaluation("p", (0.0, 1.0))

    with pytest.raises(palmfolio.AlreadyExists, match="another reward"):
        load(endless())
    assert sent > 1000


def test_a_selection_sends_the_candidates_and_the_target(
    peer: Peer, client: palmfolio.Client
) -> None:
    answer = selector_pb2.SelectPortfolioResponse(incomplete_policies=["policies/c"])
    answer.portfolio.candidates.add(policy="policies/a", selected=True)
    peer.on("SelectPortfolio", lambda *_: answer)
    stored = palmfolio.StoredEvaluations("1", TRAITS, source="study", policies=("a", "policies/b"))
    selection = client.selector.select_portfolio(
        stored,
        epsilon=0.125,
        delta=0.25,
        max_size=3,
        method=palmfolio.SelectionMethod.GREEDY,
        time_limit=1.5,
        portfolio_id="x",
        request_id="r",
    )
    assert peer.requests("SelectPortfolio")[0] == selector_pb2.SelectPortfolioRequest(
        candidates=evaluations_pb2.CandidateSet(
            evaluations=evaluations_pb2.StoredEvaluations(
                prompt_set="promptSets/1",
                traits=TRAITS,
                source="study",
                policies=["policies/a", "policies/b"],
            )
        ),
        epsilon=0.125,
        delta=0.25,
        max_size=3,
        method=selector_pb2.SELECTION_METHOD_GREEDY,
        time_limit=Duration(seconds=1, nanos=500_000_000),
        portfolio_id="x",
        request_id="r",
    )
    assert selection.incomplete_policies == ("policies/c",)
    assert [member.policy for member in selection.portfolio.members] == ["policies/a"]


def test_evaluations_are_listed_over_pages(peer: Peer, client: palmfolio.Client) -> None:
    def answer(request: Any, context: Any) -> selector_pb2.ListEvaluationsResponse:
        number = int(request.page_token or 0)
        row = evaluations_pb2.Evaluation(policy="policies/a", sample=number, normalised=0.5)
        token = str(number + 1) if number < 2 else ""
        return selector_pb2.ListEvaluationsResponse(evaluations=[row], next_page_token=token)

    peer.on("ListEvaluations", answer)
    listed = list(client.selector.list_evaluations(policy="a", source="study"))
    assert [row.sample for row in listed] == [0, 1, 2]
    assert listed[0].sampling is None
    filters = {
        (request.policy, request.trait, request.source)
        for request in peer.requests("ListEvaluations")
    }
    assert filters == {("policies/a", "", "study")}
