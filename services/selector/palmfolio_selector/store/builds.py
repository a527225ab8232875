"""Beginning the build of a portfolio."""

from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, portfolios_pb2, selector_pb2
from palmfolio_runtime import errors, names, operations
from palmfolio_runtime.operations import OperationRow
from palmfolio_runtime.timestamps import timestamp
from palmfolio_selector.domain.spec import is_same_spec
from palmfolio_selector.domain.strategies import first_trainings
from palmfolio_selector.store import portfolios, prompt_sets
from palmfolio_selector.store.measurement import spec_of
from palmfolio_selector.store.tables import PortfolioState

KIND = "build_portfolio"
_METHOD = "BuildPortfolio"


def begin(
    session: Session,
    request: selector_pb2.BuildPortfolioRequest,
    spec: portfolios_pb2.PortfolioSpec,
    most: int,
) -> tuple[OperationRow, bool]:
    """The operation that answers a request, and whether it is a new one.

    Args:
        request: as the client sent it.
        spec: its spec in canonical form.
        most: the number of trainings that the build may start.

    Raises:
        ServiceError: ALREADY_EXISTS for an id that has another spec, or a request id that was used
            with another body; NOT_FOUND for an unknown prompt set.
    """
    known = operations.find_request(session, _METHOD, request.request_id, request)
    if known is not None:
        return operations.get(session, known), False
    for name in (spec.training_prompt_set, spec.evaluation_prompt_set):
        prompt_sets.get(session, names.PROMPT_SETS.id(name))
    row = portfolios.find(session, request.portfolio_id)
    name = names.PORTFOLIOS.name(request.portfolio_id)
    if row is not None and not is_same_spec(spec_of(row), spec):
        raise errors.already_exists(
            name,
            f"{name} exists with another spec; use another id, or delete it first",
            errors_pb2.ERROR_REASON_RESOURCE_EXISTS,
        )
    # The operation may have been deleted; a new one then returns the portfolio that is there.
    operation = session.get(OperationRow, row.operation) if row is not None else None
    if row is not None and operation is not None and row.state is not PortfolioState.FAILED:
        is_new = False
    else:
        if row is None:
            row = portfolios.add(session, request.portfolio_id, spec)
            portfolios.want_trainings(session, row.id, first_trainings(spec, most))
        operation = operations.create(
            session, KIND, name, selector_pb2.BuildPortfolioMetadata(portfolio=name)
        )
        operations.set_metadata(session, operation, metadata(operation))
        portfolios.restart(session, row, operation.id)
        is_new = True
    operations.remember_request(
        session, _METHOD, request.request_id, request, names.OPERATIONS.name(operation.id)
    )
    return operation, is_new


def metadata(
    row: OperationRow, last: portfolios_pb2.BuildEvent | None = None
) -> selector_pb2.BuildPortfolioMetadata:
    """The metadata of a build's operation, with the last event of the build."""
    return selector_pb2.BuildPortfolioMetadata(
        portfolio=row.resource, last_event=last, create_time=timestamp(row.created)
    )
