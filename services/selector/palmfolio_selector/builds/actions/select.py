"""The last action of a build: select, certify, publish."""

import asyncio
import dataclasses

from google.rpc import status_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, portfolios_pb2
from palmfolio_palm import ConfidenceBound, Target, TargetInfeasible, selection
from palmfolio_palm.validation import IntArray
from palmfolio_runtime import names, operations
from palmfolio_runtime.errors import failed_precondition
from palmfolio_selector.builds import output_diversity, state
from palmfolio_selector.builds.actions import explore
from palmfolio_selector.builds.actions.explore import TrainingResults
from palmfolio_selector.builds.context import BuildContext, BuildFailed
from palmfolio_selector.builds.events import EventDraft
from palmfolio_selector.domain.values import Values
from palmfolio_selector.messages import certificates
from palmfolio_selector.messages import portfolios as messages
from palmfolio_selector.messages.certificates import SelectionResult
from palmfolio_selector.store import portfolios

MIN_CANDIDATES = 2


async def select(context: BuildContext) -> None:
    """Selects, certifies and compares the members' answers, and ends the build."""
    results = await context.read(explore.read, context)
    if results is None or len(results.values.names) < MIN_CANDIDATES:
        raise BuildFailed(await context.read(_too_few, context))
    message = f"selecting from {len(results.values.names)} candidates"
    await context.report(EventDraft(portfolios_pb2.BUILD_STAGE_SELECTING, message))
    loop = asyncio.get_running_loop()
    selected = await loop.run_in_executor(context.server.mathematics, _select, context, results)
    measured_by = await context.read(state.measurement_of, context.portfolio)
    diversity = await output_diversity.measure(
        context.server, measured_by, results.values, selected.chosen.members, waits=True
    )
    context.answered("scorer")
    result = dataclasses.replace(selected, output_diversity=diversity)
    await context.commit(_publish, context, results.values, result)


def _select(context: BuildContext, results: TrainingResults) -> SelectionResult:
    """The portfolio with its certificate, baselines and bounds.

    Raises:
        BuildFailed: max_size is too small for the target.
    """
    spec, values = context.spec, results.values
    target = Target(spec.epsilon, spec.delta, spec.max_size)
    try:
        chosen = selection.select(values.V, target, context.server.config.selection_seconds)
    except TargetInfeasible as error:
        kept = "trainings and evaluations are kept: building under another id repeats none of them"
        raise BuildFailed(certificates.infeasible(error, spec.traits, kept).to_status()) from error
    members = chosen.members
    return SelectionResult(
        chosen=chosen,
        baselines=selection.baselines(values.V, values.base),
        confidence=_confidence(results, members),
        trainable=explore.trainable_bound(context, results, values.V[members]),
    )


def _confidence(results: TrainingResults, members: IntArray) -> ConfidenceBound | None:
    """The bound for finitely many prompts; without their rewards it is made from the means."""
    if results.rewards is None:
        return selection.confidence_of_means(results.values.V, results.prompts, members)
    rewards = results.rewards
    return selection.confidence(rewards.X, members, clusters=rewards.clusters)


def _too_few(session: Session, context: BuildContext) -> status_pb2.Status:
    """Why there is no portfolio: the number of candidates, and how the last training failed."""
    rows = portfolios.trainings(session, context.portfolio)
    errors = [status_pb2.Status.FromString(row.error) for row in rows if row.error is not None]
    last = f"; the last training failed with: {errors[-1].message}" if errors else ""
    excluded = portfolios.exclusions(session, context.portfolio)
    if excluded:
        last = "; " + "; ".join(f"{each.policy}: {each.reason}" for each in excluded[:5])
    count = len(context.facts.candidates) if context.facts else 0
    return failed_precondition(
        errors_pb2.ERROR_REASON_TRAINING_FAILED,
        f"a portfolio needs at least {MIN_CANDIDATES} measured policies and there are "
        f"{count}{last}",
    ).to_status()


def _publish(
    session: Session, context: BuildContext, values: Values, result: SelectionResult
) -> None:
    row = portfolios.get(session, context.portfolio)
    portfolios.publish(
        session,
        row,
        certificates.result(result, values),
        certificates.chosen_from(result.chosen, values),
    )
    count, total = len(result.chosen.members), len(values.names)
    message = f"{count} of {total} candidates, additive gap {result.chosen.plain.additive:.4g}"
    context.append(session, EventDraft(portfolios_pb2.BUILD_STAGE_DONE, message))
    operation = operations.get(session, names.OPERATIONS.name(context.operation))
    # The statement that numbered the event changed the row without the session's knowledge.
    session.refresh(operation)
    operations.succeed(session, operation, messages.portfolio(session, row))
