"""The last action of a build: select, certify, publish."""

import asyncio

from google.rpc import status_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, selector_pb2
from palmfolio_palm import selection
from palmfolio_palm.selection import Target, TargetInfeasible
from palmfolio_palm.validation import FloatArray
from palmfolio_runtime import names, operations
from palmfolio_runtime.errors import failed_precondition
from palmfolio_runtime.operations import OperationState
from palmfolio_selector.builds.actions import explore
from palmfolio_selector.builds.actions.explore import Explored
from palmfolio_selector.builds.actions.values import read_values, rewards_by_prompt
from palmfolio_selector.builds.context import BuildContext, BuildFailed
from palmfolio_selector.builds.events import Happening
from palmfolio_selector.messages import certificates
from palmfolio_selector.messages import portfolios as resources
from palmfolio_selector.messages.certificates import Found, Values, infeasible
from palmfolio_selector.store import portfolios
from palmfolio_selector.store.tables import PortfolioState

MIN_CANDIDATES = 2

# Of the bound for finitely many prompts.
LEVEL = 0.95


async def select(context: BuildContext) -> None:
    """Selects and certifies, and ends the build."""
    values, X, so_far = await context.tools.database.run(_read, context)
    if len(values.names) < MIN_CANDIDATES:
        raise BuildFailed(await _too_few(context, values))
    message = f"selecting from {len(values.names)} candidates"
    await context.report(Happening(selector_pb2.BUILD_STAGE_SELECTING, message))
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(
        context.tools.mathematics, _found, context, values, X, so_far
    )
    await context.tools.database.run(_publish, context, values, found)
    await context.tools.changes.notify()


def _read(
    session: Session, context: BuildContext
) -> tuple[Values, FloatArray | None, Explored | None]:
    values = read_values(session, context)
    so_far = explore.read(session, context)
    return values, rewards_by_prompt(session, context, values), so_far


def _found(
    context: BuildContext, values: Values, X: FloatArray | None, so_far: Explored | None
) -> Found:
    """The portfolio and what is said about it.

    Raises:
        BuildFailed: max_size is too small for the target.
    """
    spec = context.spec
    target = Target(spec.epsilon, spec.delta, spec.max_size)
    try:
        chosen = selection.select(values.V, target, context.tools.config.selection_seconds)
    except TargetInfeasible as error:
        kept = "what was trained and evaluated is kept: building under another id costs no training"
        raise BuildFailed(infeasible(error, spec.traits, kept).to_status()) from error
    members = chosen.members
    return Found(
        chosen=chosen,
        baselines=selection.baselines(values.V, values.base),
        confidence=None if X is None else selection.confidence(X, members, LEVEL),
        trainable=None
        if so_far is None
        else explore.trainable_bound(context, so_far, values.V[members]),
    )


async def _too_few(context: BuildContext, values: Values) -> status_pb2.Status:
    rows = await context.tools.database.run(portfolios.trainings, context.portfolio)
    errors = [status_pb2.Status.FromString(row.error) for row in rows if row.error is not None]
    last = f"; the last training failed with: {errors[-1].message}" if errors else ""
    reason = errors_pb2.ERROR_REASON_TRAINING_FAILED
    return failed_precondition(
        reason,
        f"a portfolio needs at least {MIN_CANDIDATES} measured policies and there are "
        f"{len(values.names)}{last}",
    ).to_status()


def _publish(session: Session, context: BuildContext, values: Values, found: Found) -> None:
    row = portfolios.get(session, context.portfolio)
    certificates.publish(session, row, found, values)
    count, total = len(found.chosen.members), len(values.names)
    gap = found.chosen.plain.additive
    context.append(
        session,
        Happening(
            selector_pb2.BUILD_STAGE_DONE,
            f"{count} of {total} candidates, additive gap {gap:.4g}",
        ),
    )
    operation = operations.get(session, names.OPERATIONS.name(context.operation))
    session.refresh(operation)
    operations.succeed(session, operation, resources.portfolio(session, row))


def end_failed(
    session: Session, context: BuildContext, status: status_pb2.Status, *, cancelled: bool
) -> None:
    """Ends a build that cannot go on, or that was cancelled."""
    operation = operations.get(session, names.OPERATIONS.name(context.operation))
    if operation.state is not OperationState.RUNNING:
        return
    row = portfolios.find(session, context.portfolio)
    if row is not None and row.operation == context.operation:
        row.state = PortfolioState.FAILED
        row.error = status.SerializeToString()
    what = "cancelled" if cancelled else f"failed: {status.message}"
    context.append(session, Happening(selector_pb2.BUILD_STAGE_DONE, what))
    if cancelled:
        operations.cancel(session, operation)
    else:
        operations.fail(session, operation, status)
