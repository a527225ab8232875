"""Rows of prompt sets and portfolios as protocol messages."""

from google.rpc import status_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2, prompts_pb2, types_pb2
from palmfolio_runtime import names
from palmfolio_runtime.timestamps import timestamp
from palmfolio_selector.domain.values import Values
from palmfolio_selector.messages import certificates
from palmfolio_selector.messages.certificates import SelectionResult
from palmfolio_selector.store import evaluations, measurement, policies, portfolios, prompt_sets
from palmfolio_selector.store.measurement import spec_of
from palmfolio_selector.store.portfolios import StoredCandidate
from palmfolio_selector.store.tables import (
    PortfolioRow,
    PortfolioState,
    PromptSetRow,
    TrainingState,
)

_STATES = {
    PortfolioState.BUILDING: portfolios_pb2.PORTFOLIO_STATE_BUILDING,
    PortfolioState.READY: portfolios_pb2.PORTFOLIO_STATE_READY,
    PortfolioState.FAILED: portfolios_pb2.PORTFOLIO_STATE_FAILED,
}
# Prompts whose answers are shown with a portfolio.
_ANSWERS = 4
# More candidates may not fit into a message of 16 MiB.
MAX_CANDIDATES_SHOWN = 5000


def prompt_set(session: Session, row: PromptSetRow) -> prompts_pb2.PromptSet:
    """A prompt set with its prompts."""
    prompts = prompt_sets.prompts_of(session, row.id)
    message = prompt_set_summary(row, len(prompts))
    message.prompts.extend(prompt.to_message() for prompt in prompts)
    return message


def prompt_set_summary(row: PromptSetRow, prompts: int) -> prompts_pb2.PromptSet:
    """A prompt set without its prompts, of which there are so many."""
    return prompts_pb2.PromptSet(
        name=names.PROMPT_SETS.name(row.id),
        display_name=row.display_name,
        create_time=timestamp(row.created),
        prompt_count=prompts,
    )


def portfolio(
    session: Session, row: PortfolioRow, *, answers: bool = True
) -> portfolios_pb2.Portfolio:
    """A portfolio; `answers` says whether sample answers are to be shown."""
    message = portfolios_pb2.Portfolio()
    # The result of an earlier build is kept during the next one, but not shown.
    if row.state is PortfolioState.READY and row.result is not None:
        message.ParseFromString(row.result)
    message.name = names.PORTFOLIOS.name(row.id)
    message.spec.CopyFrom(spec_of(row))
    message.state = _STATES[row.state]
    message.create_time.CopyFrom(timestamp(row.created))
    if row.operation:
        message.operation = names.OPERATIONS.name(row.operation)
    if row.error is not None:
        message.error.ParseFromString(row.error)
    message.trait_versions.update(row.trait_versions or {})
    message.source = row.source
    message.failed_trainings.extend(_failed_trainings(session, row))
    if row.state is PortfolioState.READY:
        chosen_from = portfolios.candidates(session, row.id)
        message.candidates.extend(map(_candidate, chosen_from[:MAX_CANDIDATES_SHOWN]))
        if answers:
            message.sample_answers.extend(_answers(session, row, chosen_from))
    return message


def unsaved(
    session: Session,
    spec: portfolios_pb2.PortfolioSpec,
    selected: SelectionResult,
    values: Values,
) -> portfolios_pb2.Portfolio:
    """A portfolio that is not stored."""
    message = certificates.result(selected, values)
    message.spec.CopyFrom(spec)
    message.state = portfolios_pb2.PORTFOLIO_STATE_READY
    shown = certificates.chosen_from(selected.chosen, values)[:MAX_CANDIDATES_SHOWN]
    known = policies.by_name(session, [name for name, _, _ in shown])
    message.candidates.extend(
        _candidate(StoredCandidate(known[name], is_member, value))
        for name, is_member, value in shown
    )
    return message


def _candidate(candidate: StoredCandidate) -> portfolios_pb2.Candidate:
    policy = candidate.policy
    weights = None if policy.weights is None else types_pb2.Weights(values=policy.weights)
    return portfolios_pb2.Candidate(
        policy=policy.name,
        weights=weights,
        value=candidate.value,
        adapter=policy.adapter,
        selected=candidate.selected,
        is_base_model=policy.is_base_model,
    )


def _failed_trainings(session: Session, row: PortfolioRow) -> list[portfolios_pb2.FailedTraining]:
    return [
        portfolios_pb2.FailedTraining(
            weights=types_pb2.Weights(values=training.weights),
            error=status_pb2.Status.FromString(training.error or b""),
        )
        for training in portfolios.trainings(session, row.id)
        if training.state is TrainingState.FAILED
    ]


def _answers(
    session: Session, row: PortfolioRow, chosen_from: list[StoredCandidate]
) -> list[portfolios_pb2.SampleAnswer]:
    measured_by = measurement.find(session, row)
    if measured_by is None:
        return []
    return [
        portfolios_pb2.SampleAnswer(
            policy=candidate.policy.name,
            prompt=prompt.to_message(),
            response=response,
            rewards=rewards,
        )
        for candidate in chosen_from
        if candidate.selected
        for prompt, response, rewards in evaluations.answers(
            session, measured_by, candidate.policy.name, _ANSWERS
        )
    ]
