"""Portfolios, the trainings that they want and the candidates they were chosen from."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from google.rpc import status_pb2
from sqlalchemy import delete as delete_rows
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, portfolios_pb2
from palmfolio_runtime import names
from palmfolio_runtime.errors import failed_precondition, not_found
from palmfolio_runtime.pages import Listing
from palmfolio_selector.domain.coverage import Exclusion
from palmfolio_selector.store import policies
from palmfolio_selector.store.inserts import insert_missing
from palmfolio_selector.store.tables import (
    CandidateRow,
    ExclusionRow,
    PolicyRow,
    PortfolioRow,
    PortfolioState,
    TrainingRow,
    TrainingState,
)

_LISTING = Listing("portfolios", float, str)


@dataclass(frozen=True)
class StoredCandidate:
    """A candidate of a portfolio."""

    policy: PolicyRow
    selected: bool
    value: Mapping[str, float]


def find(session: Session, identifier: str) -> PortfolioRow | None:
    """The portfolio of that id, or None."""
    return session.get(PortfolioRow, identifier)


def get_ready(session: Session, identifier: str) -> PortfolioRow:
    """The portfolio of that id, which can be used.

    Raises:
        ServiceError: NOT_FOUND, or FAILED_PRECONDITION until the portfolio is ready.
    """
    row = get(session, identifier)
    if row.state is not PortfolioState.READY:
        raise failed_precondition(
            errors_pb2.ERROR_REASON_RESOURCE_NOT_READY,
            f"portfolios/{identifier} is {row.state}; it can be used once it is ready",
        )
    return row


def get(session: Session, identifier: str) -> PortfolioRow:
    """The portfolio of that id.

    Raises:
        ServiceError: NOT_FOUND.
    """
    row = find(session, identifier)
    if row is None:
        raise not_found(names.PORTFOLIOS.name(identifier))
    return row


def add(session: Session, identifier: str, spec: portfolios_pb2.PortfolioSpec) -> PortfolioRow:
    """Adds a portfolio that is about to be built, with the canonical spec."""
    row = PortfolioRow(
        id=identifier,
        spec=spec.SerializeToString(deterministic=True),
        state=PortfolioState.BUILDING,
        created=time.time(),
    )
    session.add(row)
    # A portfolio of that id that another transaction added shows now, not at the commit.
    session.flush()
    return row


def restart(session: Session, row: PortfolioRow, operation: str) -> None:
    """Has a portfolio built by a new operation, which submits every training again."""
    row.state = PortfolioState.BUILDING
    row.operation = operation
    row.error = None
    # Traits may have changed since; the build asks the scorer again.
    row.trait_versions = None
    row.base_policy = ""
    row.explored = False
    session.execute(delete_rows(ExclusionRow).where(ExclusionRow.portfolio == row.id))
    session.execute(
        update(TrainingRow)
        .where(TrainingRow.portfolio == row.id)
        .values(state=TrainingState.WANTED, operation="", last_event=0, policy="", error=None)
    )


def want_trainings(
    session: Session, portfolio: str, trainings: Sequence[portfolios_pb2.ExplicitTraining]
) -> None:
    """Stores the trainings that a build wants, from position 1; stored ones stay as they are."""
    insert_missing(
        session,
        TrainingRow,
        [
            {
                "portfolio": portfolio,
                "position": position,
                "weights": dict(training.weights.values),
                "initial": training.initial_training,
                "grpo": training.grpo.SerializeToString(deterministic=True),
                "state": TrainingState.WANTED,
                "operation": "",
                "last_event": 0,
                "policy": "",
            }
            for position, training in enumerate(trainings, start=1)
        ],
    )


def trainings(session: Session, portfolio: str) -> Sequence[TrainingRow]:
    """The trainings that a portfolio wants, in order."""
    query = select(TrainingRow).where(TrainingRow.portfolio == portfolio)
    return session.scalars(query.order_by(TrainingRow.position)).all()


def training(session: Session, portfolio: str, position: int) -> TrainingRow:
    """One training that a portfolio wants."""
    return session.get_one(TrainingRow, (portfolio, position))


def fail_training(row: TrainingRow, status: status_pb2.Status) -> None:
    """Notes that a training failed."""
    row.state = TrainingState.FAILED
    row.error = status.SerializeToString()


def exclude(session: Session, portfolio: str, exclusion: Exclusion) -> None:
    """Notes that a portfolio does not choose from a policy, and why."""
    known = policies.by_name(session, [exclusion.policy])[exclusion.policy]
    insert_missing(
        session,
        ExclusionRow,
        [
            {
                "portfolio": portfolio,
                "policy": known.key,
                "complete": exclusion.complete,
                "reason": exclusion.reason,
            }
        ],
    )


def exclusions(session: Session, portfolio: str) -> tuple[Exclusion, ...]:
    """The policies that a portfolio does not choose from, although they were measured."""
    query = (
        select(PolicyRow.name, ExclusionRow.complete, ExclusionRow.reason)
        .join(ExclusionRow, ExclusionRow.policy == PolicyRow.key)
        .where(ExclusionRow.portfolio == portfolio)
        .order_by(PolicyRow.key)
    )
    return tuple(Exclusion(*row) for row in session.execute(query))


def trainings_wanted_elsewhere(session: Session, portfolio: str) -> set[str]:
    """The trainer's operations that other portfolios under construction wait for."""
    query = (
        select(TrainingRow.operation)
        .join(PortfolioRow, PortfolioRow.id == TrainingRow.portfolio)
        .where(
            PortfolioRow.id != portfolio,
            PortfolioRow.state == PortfolioState.BUILDING,
            TrainingRow.state == TrainingState.RUNNING,
        )
    )
    return set(session.scalars(query))


def publish(
    session: Session,
    row: PortfolioRow,
    result: portfolios_pb2.Portfolio,
    chosen_from: Sequence[tuple[str, bool, Mapping[str, float]]],
) -> None:
    """Makes a portfolio ready; its candidates take the place of those of an earlier build.

    Args:
        result: certificate, baselines and bounds.
        chosen_from: (policy, selected, value by trait), members first.
    """
    known = policies.by_name(session, [name for name, _, _ in chosen_from])
    session.execute(delete_rows(CandidateRow).where(CandidateRow.portfolio == row.id))
    insert_missing(
        session,
        CandidateRow,
        [
            {
                "portfolio": row.id,
                "position": position,
                "policy": known[name].key,
                "selected": selected,
                "value": dict(value),
            }
            for position, (name, selected, value) in enumerate(chosen_from)
        ],
    )
    row.result = result.SerializeToString()
    row.state = PortfolioState.READY
    row.error = None


def candidates(session: Session, portfolio: str) -> list[StoredCandidate]:
    """The candidates that a portfolio was chosen from, members first."""
    query = (
        select(PolicyRow, CandidateRow.selected, CandidateRow.value)
        .join(CandidateRow, CandidateRow.policy == PolicyRow.key)
        .where(CandidateRow.portfolio == portfolio)
        .order_by(CandidateRow.position)
    )
    return [StoredCandidate(*row) for row in session.execute(query)]


def list_page(
    session: Session,
    size: int,
    token: str,
    message: Callable[[PortfolioRow], portfolios_pb2.Portfolio],
    max_bytes: int,
) -> tuple[list[portfolios_pb2.Portfolio], str]:
    """One page of portfolios, newest first, and the next page's token (empty on the last)."""
    return _LISTING.newest_first(session, PortfolioRow, size, token, message, max_bytes)


def delete(session: Session, identifier: str) -> None:
    """Deletes a portfolio; policies and evaluations stay.

    Raises:
        ServiceError: NOT_FOUND, or FAILED_PRECONDITION while it is being built.
    """
    row = get(session, identifier)
    if row.state is PortfolioState.BUILDING:
        raise failed_precondition(
            errors_pb2.ERROR_REASON_RESOURCE_IN_USE,
            f"portfolios/{identifier} is being built; cancel operations/{row.operation} first",
        )
    session.delete(row)
