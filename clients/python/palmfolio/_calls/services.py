"""Calls that every service answers: about itself, and about its long-running operations."""

from typing import Any

from google.longrunning import operations_pb2

from palmfolio import types
from palmfolio._calls.call import Call, Page, nothing, reader, resource, set_seconds, unchanged
from palmfolio._connection import ServiceName
from palmfolio.v1 import types_pb2


def server_info(service: ServiceName) -> Call[types.ServerInfo]:
    """`GetServerInfo`."""
    request = types_pb2.GetServerInfoRequest()
    return Call(service, "GetServerInfo", request, reader(types.ServerInfo))


def get_operation(service: ServiceName, name: str) -> Call[Any]:
    """`GetOperation`."""
    request = operations_pb2.GetOperationRequest(name=resource("operations", name))
    return Call(service, "GetOperation", request, unchanged, of_operations=True)


def wait_operation(service: ServiceName, name: str, seconds: float) -> Call[Any]:
    """`WaitOperation` for at most `seconds`; answers the operation, done or not."""
    request = operations_pb2.WaitOperationRequest(name=name)
    set_seconds(request.timeout, seconds)
    return Call(service, "WaitOperation", request, unchanged, of_operations=True)


def cancel_operation(service: ServiceName, name: str) -> Call[None]:
    """`CancelOperation`."""
    request = operations_pb2.CancelOperationRequest(name=name)
    return Call(service, "CancelOperation", request, nothing, of_operations=True)


def list_operations(service: ServiceName, page_token: str) -> Call[Page[Any]]:
    """`ListOperations`."""
    request = operations_pb2.ListOperationsRequest(name="operations", page_token=page_token)
    return Call(service, "ListOperations", request, _read_operations, of_operations=True)


def _read_operations(message: Any) -> Page[Any]:
    return list(message.operations), message.next_page_token
