"""The errors that the SDK raises.

Each also inherits the standard library's matching exception, so that code which does not know
palmfolio can catch it.

    PalmfolioError
    ├── ConfigurationError (ValueError)            the client's own settings or files
    └── ServiceError                               a service refused, failed or did not answer
        ├── InvalidArgument (ValueError)           `violations` names the fields
        ├── NotFound (LookupError)                 `resource` names it
        ├── AlreadyExists (FileExistsError)        `resource` names it
        ├── FailedPrecondition (RuntimeError)      the state does not allow it; see `reason`
        ├── ResourceExhausted (RuntimeError)       overload or size; `retry_after` in seconds
        ├── Unauthenticated (PermissionError)      no token, or an unknown one
        ├── PermissionDenied (PermissionError)     the token's role is not enough
        ├── Cancelled (concurrent.futures.CancelledError)
        ├── DeadlineExceeded (TimeoutError)
        ├── Unavailable (ConnectionError)          the service, or one that it needs, is away
        ├── Unimplemented (NotImplementedError)    a server older than this client
        └── ServerFault (RuntimeError)             INTERNAL, UNKNOWN, DATA_LOSS and the rest

To add an error: add a reason with its comment to `protos/palmfolio/v1/errors.proto` and raise it in
the service; add a class here only where callers must tell it from the classes above.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc
    from google.rpc import status_pb2

_DETAILS_KEY = "grpc-status-details-bin"


class PalmfolioError(Exception):
    """The root of every error that the SDK raises on purpose.

    Attributes:
        message: one paragraph for people: what is wrong and what to do next.

    Example:
        try:
            client.selector.get_portfolio("quickstart")
        except palmfolio.PalmfolioError as error:
            print(error.message)
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class ConfigurationError(PalmfolioError, ValueError):
    """The client cannot do this with the settings or files that it was given."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One wrong field of a request.

    Example:
        try:
            client.selector.route("quickstart", {"brevity": -1.0})
        except palmfolio.InvalidArgument as error:
            print([violation.field for violation in error.violations])
    """

    field: str
    """The path, for example `weights.values[brevity]`."""
    description: str
    """What is wrong and what is allowed."""


class ServiceError(PalmfolioError):
    """A service answered with an error, or did not answer.

    Attributes:
        code: the gRPC code's name, for example `NOT_FOUND`.
        reason: a value of `errors.proto` without its prefix, stable; empty when unknown.
        metadata: what the reason carries, for example the name of a dependency.
        violations: the fields that are wrong.
        resource: the name of the resource in question; empty when there is none.
        retry_after: seconds to wait before the next try; None when the service did not say.

    Example:
        try:
            client.trainer.get_policy("policies/5f3a9c")
        except palmfolio.ServiceError as error:
            print(error.code, error.reason, error.resource)
    """

    code: str
    reason: str
    metadata: Mapping[str, str]
    violations: tuple[FieldViolation, ...]
    resource: str
    retry_after: float | None

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNKNOWN",
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: tuple[FieldViolation, ...] = (),
        resource: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = violations
        self.resource = resource
        self.retry_after = retry_after


class InvalidArgument(ServiceError, ValueError):
    """A field of the request is wrong; `violations` names it and what is allowed."""


class NotFound(ServiceError, LookupError):
    """No resource has this name."""


class AlreadyExists(ServiceError, FileExistsError):
    """The resource or request id exists with another content."""


class FailedPrecondition(ServiceError, RuntimeError):
    """The request is well-formed, but the service's state does not allow it."""


class ResourceExhausted(ServiceError, RuntimeError):
    """The service is overloaded, or a message is over its limit."""


class Unauthenticated(ServiceError, PermissionError):
    """The service wants a token, or does not know the token that it got."""


class PermissionDenied(ServiceError, PermissionError):
    """The token's role may not make this call."""


class Cancelled(ServiceError, concurrent.futures.CancelledError):
    """The call or the operation was cancelled."""


class DeadlineExceeded(ServiceError, TimeoutError):
    """The answer did not come in time."""


class Unavailable(ServiceError, ConnectionError):
    """The service, or something that it depends on, cannot be reached."""


class Unimplemented(ServiceError, NotImplementedError):
    """The server does not know this call: it is older than this client."""


class ServerFault(ServiceError, RuntimeError):
    """A fault of the server; its log has the details."""


_CLASSES: dict[str, type[ServiceError]] = {
    "INVALID_ARGUMENT": InvalidArgument,
    "OUT_OF_RANGE": InvalidArgument,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "FAILED_PRECONDITION": FailedPrecondition,
    "ABORTED": FailedPrecondition,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "CANCELLED": Cancelled,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "UNAVAILABLE": Unavailable,
    "UNIMPLEMENTED": Unimplemented,
}


def from_status(status: status_pb2.Status) -> ServiceError:
    """The error for a `google.rpc.Status` other than OK, with its details."""
    from google.rpc import code_pb2, error_details_pb2

    reason, resource = "", ""
    metadata: dict[str, str] = {}
    violations: tuple[FieldViolation, ...] = ()
    retry_after: float | None = None
    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    about = error_details_pb2.ResourceInfo()
    for detail in status.details:
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(request):
            violations = tuple(
                FieldViolation(item.field, item.description) for item in request.field_violations
            )
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
        elif detail.Unpack(about):
            resource = about.resource_name
    known = status.code in code_pb2.Code.values()
    code = code_pb2.Code.Name(status.code) if known else "UNKNOWN"
    return _CLASSES.get(code, ServerFault)(
        status.message or f"the service answered {code} without a reason",
        code=code,
        reason=reason,
        metadata=metadata,
        violations=violations,
        resource=resource,
        retry_after=retry_after,
    )


def from_rpc(error: grpc.RpcError, service: str, address: str) -> ServiceError:
    """The error for a failed call.

    Args:
        error: what grpc raised, sync or asyncio.
        service: its name, for example `scorer`.
        address: where the client looked for it.
    """
    from google.rpc import status_pb2

    code = error.code()
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key == _DETAILS_KEY:
            described = from_status(status_pb2.Status.FromString(value))
            if isinstance(described, ServerFault):
                # The message points to the service's log, and the reader must know which service.
                described.message = f"the {service} at {address}: {described.message}"
            return described
    text = error.details() or code.name
    where = f"the {service} at {address}"
    if code.name == "UNAVAILABLE":
        text = f"cannot reach {where}: is it running? ({text})"
    elif code.name == "DEADLINE_EXCEEDED":
        text = f"{where} did not answer in time; try a longer timeout"
    elif code.name == "UNIMPLEMENTED":
        text = f"{where} does not know this call: is it a palmfolio {service}? ({text})"
    return _CLASSES.get(code.name, ServerFault)(text, code=code.name)
