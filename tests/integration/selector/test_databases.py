"""The same portfolio, to the digit, whichever database the evaluations are in."""

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from palmfolio.v1 import evaluations_pb2, portfolios_pb2, prompts_pb2, selector_pb2
from tests.support.services.postgres import PostgresServer
from tests.support.services.processes import ServiceProcess, start_service
from tests.support.services.selector_calls import Caller, comparable, refused

TRAITS = ["helpful", "brief", "kind", "safe"]
POLICIES = 40
PROMPTS = 25
NOWHERE = {"address": "127.0.0.1:9"}
TARGETS: list[dict[str, Any]] = [
    {"delta": 0.02},
    {"epsilon": 0.05, "delta": 0.01},
    {"delta": 0.1, "max_size": 6},
    {"epsilon": 0.1},
]


@pytest.fixture
def callers(tmp_path: Path, postgres_url: str) -> Iterator[list[Caller]]:
    """A selector on SQLite and one on PostgreSQL."""
    urls = {"sqlite": f"sqlite:///{tmp_path / 'selector.db'}", "postgresql": postgres_url}
    processes = {
        name: start_service(
            "selector",
            {"database_url": url, "trainer": NOWHERE, "scorer": NOWHERE},
            tmp_path / name,
        )
        for name, url in urls.items()
    }
    yield [Caller(process.channel) for process in processes.values()]
    for process in processes.values():
        process.stop()


def rows(order: Iterable[int]) -> Iterator[evaluations_pb2.ImportedEvaluation]:
    """Evaluations with rewards of full precision, policies in the order given."""
    random = np.random.default_rng(5)
    means = random.dirichlet(np.ones(len(TRAITS)), POLICIES) ** 0.5
    X = np.clip(means[:, None, :] + random.normal(0, 0.1, (POLICIES, PROMPTS, len(TRAITS))), 0, 1)
    for policy in order:
        for prompt in range(PROMPTS):
            yield evaluations_pb2.ImportedEvaluation(
                policy=f"policies/p{policy:02}",
                prompt=prompts_pb2.Prompt(text=f"prompt {prompt}"),
                rewards=X[policy, prompt],
            )


def load(caller: Caller, order: Iterable[int]) -> evaluations_pb2.CandidateSet:
    """Imports the evaluations; the candidate set of them."""
    messages = [selector_pb2.ImportEvaluationsRequest(evaluations=list(rows(order)))]
    messages[0].source = "study"
    messages[0].traits.extend(TRAITS)
    answer = caller.stub.ImportEvaluations(iter(messages), timeout=60)
    stored = evaluations_pb2.StoredEvaluations(
        prompt_set=answer.prompt_set, traits=TRAITS, source="study"
    )
    return evaluations_pb2.CandidateSet(evaluations=stored)


def test_the_same_evaluations_give_the_same_portfolio_to_the_digit(callers: list[Caller]) -> None:
    sqlite, postgresql = callers
    candidates = load(sqlite, range(POLICIES))
    # The order in which rows came must not matter, and neither may the one they are stored in.
    assert load(postgresql, reversed(range(POLICIES))) == candidates
    for target in TARGETS:
        portfolios = []
        for caller in callers:
            request = selector_pb2.SelectPortfolioRequest(
                candidates=candidates,
                portfolio_id="p" + uuid.uuid4().hex[:8],
                request_id=uuid.uuid4().hex,
                **target,
            )
            portfolio = caller.stub.SelectPortfolio(request, timeout=120).portfolio
            portfolios.append(comparable(portfolio).SerializeToString(deterministic=True))
        assert portfolios[0] == portfolios[1], target
    curves = [
        caller.stub.TradeoffCurve(
            selector_pb2.TradeoffCurveRequest(candidates=candidates, max_size=5), timeout=120
        )
        for caller in callers
    ]
    assert curves[0] == curves[1]
    assert len(curves[0].points) == 5


def test_a_build_goes_on_when_its_database_was_away(
    tmp_path: Path,
    postgres: PostgresServer,
    trainer_process: ServiceProcess,
    scorer_process: ServiceProcess,
) -> None:
    others = {
        "trainer": {"address": trainer_process.address},
        "scorer": {"address": scorer_process.address},
        "max_backoff_seconds": 1.0,
    }
    processes = [
        start_service("selector", {"database_url": url, **others}, tmp_path / name)
        for name, url in [
            ("disturbed", postgres.url),
            ("undisturbed", f"sqlite:///{tmp_path / 'selector.db'}"),
        ]
    ]
    disturbed, undisturbed = (Caller(process.channel) for process in processes)
    weights = ({"brevity": 1.0, "warmth": 0.3}, {"brevity": 0.3, "warmth": 1.0})
    operation = disturbed.build("p", disturbed.spec(*weights, seed=7)).name
    disturbed.await_event(
        operation, lambda event: event.stage == portfolios_pb2.BUILD_STAGE_TRAINING
    )
    postgres.stop()
    assert refused(lambda: disturbed.portfolio("p"))[0] is grpc.StatusCode.UNAVAILABLE
    postgres.start()
    processes[0].wait_until_ready()
    done = disturbed.wait(operation)
    assert not done.HasField("error"), done.error
    events = disturbed.events(operation)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    expected = undisturbed.built("p", undisturbed.spec(*weights, seed=7))
    assert comparable(disturbed.portfolio("p")) == comparable(expected)
    for process in processes:
        process.stop()
