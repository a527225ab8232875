"""Reads do not write: no call that declares no side effects changes a row or moves a sequence."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from google.longrunning import operations_pb2
from google.protobuf import descriptor_pb2
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from palmfolio.v1 import (
    evaluations_pb2,
    portfolios_pb2,
    prompts_pb2,
    selector_pb2,
    trainer_pb2,
    types_pb2,
)
from palmfolio_runtime import operations
from palmfolio_runtime.database import Database
from palmfolio_runtime.limits import SelectorLimits
from palmfolio_runtime.operations import OperationsServicer
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_selector.builds import state
from palmfolio_selector.builds.context import ServerParts
from palmfolio_selector.builds.runner import Builds
from palmfolio_selector.calls.readiness import ServerState
from palmfolio_selector.domain.spec import canonical_spec
from palmfolio_selector.servicer import SelectorServicer
from palmfolio_selector.store import builds, measurement, policies, portfolios

TRAITS = ["brevity", "warmth"]
CONTEXT = cast(Context, None)
WRITE = re.compile(r"\s*(WITH\b.*\b)?(INSERT|UPDATE|DELETE|MERGE|CREATE|ALTER|DROP)\b", re.I | re.S)

# The calls of this test; every call that declares no side effects must be among them.
READS = {
    "GetServerInfo",
    "GetPromptSet",
    "ListPromptSets",
    "ListPrompts",
    "ListEvaluations",
    "PlanPortfolio",
    "CertifyPortfolio",
    "TradeoffCurve",
    "WatchBuild",
    "GetPortfolio",
    "ListPortfolios",
    "Route",
}


@pytest.fixture
def servicer(parts: ServerParts) -> SelectorServicer:
    """The selector's calls."""
    readiness = ServerState(parts.config.limits, parts.database)
    readiness.started = True
    return SelectorServicer(readiness, parts, Builds(parts))


async def messages() -> AsyncIterator[selector_pb2.ImportEvaluationsRequest]:
    """An import of three policies, one of which lacks the last prompt."""
    rewards = {"a": (1.0, 0.1), "b": (0.1, 1.0), "c": (0.5, 0.5)}
    yield selector_pb2.ImportEvaluationsRequest(
        source="study",
        traits=TRAITS,
        evaluations=[
            evaluations_pb2.ImportedEvaluation(
                policy=f"policies/{name}",
                prompt=prompts_pb2.Prompt(text=f"question {index}"),
                rewards=pair,
            )
            for name, pair in rewards.items()
            for index in range(2 if name == "c" else 3)
        ],
    )


async def select(
    servicer: SelectorServicer, chosen_from: evaluations_pb2.CandidateSet, **fields: Any
) -> selector_pb2.SelectPortfolioResponse:
    """Selects with a target that both complete policies are needed for."""
    request = selector_pb2.SelectPortfolioRequest(candidates=chosen_from, delta=0.1, **fields)
    return await servicer.SelectPortfolio(request, CONTEXT)


async def filled(servicer: SelectorServicer) -> evaluations_pb2.CandidateSet:
    """The imported candidates, after a portfolio was selected from them."""
    answer = await servicer.ImportEvaluations(messages(), CONTEXT)
    chosen_from = evaluations_pb2.CandidateSet(
        evaluations=evaluations_pb2.StoredEvaluations(
            prompt_set=answer.prompt_set, traits=TRAITS, source="study"
        )
    )
    await select(servicer, chosen_from, portfolio_id="stored", request_id="1")
    return chosen_from


def make_spec(prompt_set: str) -> portfolios_pb2.PortfolioSpec:
    """What a build wants: one training."""
    spec = portfolios_pb2.PortfolioSpec(
        base_model="tiny",
        traits=TRAITS,
        training_prompt_set=prompt_set,
        evaluation_prompt_set=prompt_set,
    )
    spec.strategy.explicit.trainings.add(weights=types_pb2.Weights(values={"brevity": 1.0}))
    return spec


def begin_prepared(session: Session, spec: portfolios_pb2.PortfolioSpec) -> str:
    """Begins a build, as far as the preparation; the name of its operation."""
    request = selector_pb2.BuildPortfolioRequest(request_id="2", portfolio_id="built", spec=spec)
    operation, _ = builds.begin(session, request, spec, 1)
    row = portfolios.get(session, "built")
    row.trait_versions = dict.fromkeys(TRAITS, "1")
    policy = trainer_pb2.Policy(name="policies/base", is_base_model=True)
    row.base_policy = policies.remember(session, policy).name
    measurement.ensure(session, row)
    return f"operations/{operation.id}"


@contextmanager
def only_reads(database: Database) -> Iterator[list[str]]:
    """Fails when a statement changes something, or the next key of a table changes."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    before = sequences(database)
    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
    assert [statement for statement in statements if WRITE.match(statement)] == []
    assert sequences(database) == before


def sequences(database: Database) -> list[tuple[str, int | None]]:
    """The position of each sequence of PostgreSQL; SQLite has none."""
    if database.is_sqlite:
        return []
    query = "SELECT sequencename, last_value FROM pg_sequences ORDER BY sequencename"
    with database.engine.connect() as connection:
        return [(name, value) for name, value in connection.execute(text(query))]


async def test_a_write_is_noticed(database: Database, servicer: SelectorServicer) -> None:
    with pytest.raises(AssertionError, match="INSERT"), only_reads(database):
        await servicer.ImportEvaluations(messages(), CONTEXT)


async def test_calls_without_side_effects_change_nothing(
    database: Database, servicer: SelectorServicer
) -> None:
    chosen_from = await filled(servicer)
    spec = make_spec(chosen_from.evaluations.prompt_set)
    canonical = canonical_spec(spec, SelectorLimits())
    operation = await database.run(begin_prepared, canonical)
    await database.run(cancel, operation)
    weights = types_pb2.Weights(values={"brevity": 1.0})
    calls = {
        "GetServerInfo": types_pb2.GetServerInfoRequest(),
        "GetPromptSet": prompts_pb2.GetPromptSetRequest(name=chosen_from.evaluations.prompt_set),
        "ListPromptSets": prompts_pb2.ListPromptSetsRequest(),
        "ListPrompts": prompts_pb2.ListPromptsRequest(
            prompt_set=chosen_from.evaluations.prompt_set
        ),
        "ListEvaluations": selector_pb2.ListEvaluationsRequest(source="study"),
        "PlanPortfolio": selector_pb2.PlanPortfolioRequest(spec=spec),
        "CertifyPortfolio": selector_pb2.CertifyPortfolioRequest(
            candidates=chosen_from, policies=["policies/a"]
        ),
        "TradeoffCurve": selector_pb2.TradeoffCurveRequest(candidates=chosen_from),
        "WatchBuild": selector_pb2.WatchBuildRequest(operation=operation),
        "GetPortfolio": selector_pb2.GetPortfolioRequest(name="portfolios/stored"),
        "ListPortfolios": selector_pb2.ListPortfoliosRequest(),
        "Route": selector_pb2.RouteRequest(portfolio="portfolios/stored", weights=weights),
    }
    assert calls.keys() == READS
    for name, request in calls.items():
        with only_reads(database) as statements:
            answer = getattr(servicer, name)(request, CONTEXT)
            if name == "WatchBuild":
                async for _ in answer:
                    pass
            else:
                await answer
        assert statements or name == "GetServerInfo"


def cancel(session: Session, operation: str) -> None:
    """Ends a build as cancelled."""
    operations.cancel(session, operations.get(session, operation))


def test_every_call_that_declares_no_side_effects_is_tested_here() -> None:
    level = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    methods = selector_pb2.DESCRIPTOR.services_by_name["Selector"].methods
    declared = {m.name for m in methods if m.GetOptions().idempotency_level == level}
    assert declared == READS


async def test_looking_for_what_is_not_there_adds_nothing(
    database: Database, servicer: SelectorServicer
) -> None:
    await filled(servicer)
    with only_reads(database):
        request = selector_pb2.ListEvaluationsRequest(source="made-up")
        answer = await servicer.ListEvaluations(request, CONTEXT)
    assert not answer.evaluations


async def test_a_selection_that_is_not_stored_changes_nothing(
    database: Database, servicer: SelectorServicer
) -> None:
    chosen_from = await filled(servicer)
    with only_reads(database):
        answer = await select(servicer, chosen_from)
    assert [c.policy for c in answer.portfolio.candidates] == ["policies/a", "policies/b"]
    assert list(answer.incomplete_policies) == ["policies/c"]
    again = evaluations_pb2.CandidateSet(portfolio="portfolios/stored")
    with only_reads(database):
        await select(servicer, again)


async def test_a_turn_of_a_builds_loop_reads_without_writing(
    database: Database, servicer: SelectorServicer
) -> None:
    chosen_from = await filled(servicer)
    spec = canonical_spec(make_spec(chosen_from.evaluations.prompt_set), SelectorLimits())
    await database.run(begin_prepared, spec)
    with only_reads(database):
        for _ in range(3):
            facts = await database.run(state.read, "built")
        portfolio = await servicer.GetPortfolio(
            selector_pb2.GetPortfolioRequest(name="portfolios/built"), CONTEXT
        )
    assert facts.prepared
    assert portfolio.state == portfolios_pb2.PORTFOLIO_STATE_BUILDING


async def test_operations_are_read_without_writing(
    database: Database, parts: ServerParts, servicer: SelectorServicer
) -> None:
    chosen_from = await filled(servicer)
    spec = canonical_spec(make_spec(chosen_from.evaluations.prompt_set), SelectorLimits())
    name = await database.run(begin_prepared, spec)
    calls = OperationsServicer(database, parts.changes, Builds(parts).cancel, 2**24)
    with only_reads(database):
        await calls.GetOperation(operations_pb2.GetOperationRequest(name=name), CONTEXT)
        await calls.ListOperations(operations_pb2.ListOperationsRequest(), CONTEXT)


async def test_writing_what_exists_moves_no_sequence(
    database: Database, servicer: SelectorServicer
) -> None:
    await filled(servicer)
    before = sequences(database)
    await servicer.ImportEvaluations(messages(), CONTEXT)
    assert sequences(database) == before
