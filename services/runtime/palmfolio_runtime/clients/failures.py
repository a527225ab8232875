"""How a call to another service fails: three kinds, by what the caller can do about it.

- `CallError`
  - `DependencyDown`: the service is away or full; the same call may go through later.
  - `CallFaulted`: the service failed while it answered; worth a few more tries.
  - `CallRejected`: the service refuses the call; trying again changes nothing.
"""

import grpc
from google.rpc import status_pb2
from grpc import aio

from palmfolio_runtime.clients.channels import is_transient, status_of

# A server that stops in the middle of a call can end it with any of these.
_INTERRUPTED = (
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.ABORTED,
)
_FAULTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class CallError(Exception):
    """A call to another service that failed.

    Args:
        dependency: `trainer` or `scorer`.
        status: what the service answered, details included.
    """

    def __init__(self, dependency: str, status: status_pb2.Status) -> None:
        super().__init__(f"{dependency}: {status.message}")
        self.dependency = dependency
        self.status = status

    @property
    def code(self) -> grpc.StatusCode:
        """The gRPC status code."""
        return _CODES.get(self.status.code, grpc.StatusCode.UNKNOWN)

    @property
    def reason(self) -> str:
        """Code and message in one line, for people: `UNAVAILABLE: connection refused`."""
        return f"{self.code.name}: {self.status.message}"


class DependencyDown(CallError):
    """The service is away or full."""

    @classmethod
    def because(cls, dependency: str, message: str) -> "DependencyDown":
        """A service that answers, but cannot do what is needed yet."""
        code = grpc.StatusCode.UNAVAILABLE.value[0]
        return cls(dependency, status_pb2.Status(code=code, message=message))


class CallFaulted(CallError):
    """The service failed while it answered."""


class CallRejected(CallError):
    """The service refuses the call."""


def failure_of(dependency: str, error: grpc.RpcError) -> CallError:
    """The kind of failure that a gRPC error is.

    Args:
        dependency: the service that was called.
        error: what the stub raised, blocking or asyncio.
    """
    status = status_of(error)
    code = error.code() if isinstance(error, grpc.Call | aio.AioRpcError) else None
    # Without a code the call never reached a server.
    if code is None or is_transient(error) or code in _INTERRUPTED:
        return DependencyDown(dependency, status)
    if code in _FAULTS:
        return CallFaulted(dependency, status)
    return CallRejected(dependency, status)
