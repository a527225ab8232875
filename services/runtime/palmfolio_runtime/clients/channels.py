"""gRPC channels between services: the same settings on both sides."""

import grpc
from google.rpc import status_pb2
from grpc import aio

from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.errors import unavailable
from palmfolio_runtime.limits import Limits

# In gRPC's own errors: of a message that is sent, one that is received, and trailing metadata.
_TOO_LARGE = ("larger than max", "metadata size exceeds")

Options = list[tuple[str, int | str]]


def _keepalive() -> Options:
    # Finds a peer whose machine is gone, also between calls: TCP itself would wait for hours.
    return [
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def server_options(limits: Limits) -> Options:
    """Options of a server: message limits, keepalive, no sharing of the port."""
    return [
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", limits.max_message_bytes),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        # A server must not close connections for the pings that keep them alive.
        ("grpc.http2.max_ping_strikes", 0),
        # Otherwise two servers on one port would silently share its calls.
        ("grpc.so_reuseport", 0),
        *_keepalive(),
    ]


def client_options(limits: Limits) -> Options:
    """Options of a channel from one service to another."""
    return [
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", limits.max_message_bytes),
        # gRPC's default of two minutes would leave a service waiting long after the other is back.
        ("grpc.max_reconnect_backoff_ms", 5_000),
        *_keepalive(),
    ]


def connect(endpoint: Endpoint, limits: Limits) -> aio.Channel:
    """An asyncio channel to a service; it connects at the first call."""
    options = client_options(limits)
    if endpoint.ca is None:
        return aio.insecure_channel(endpoint.address, options)
    return aio.secure_channel(endpoint.address, _credentials(endpoint), options)


def connect_sync(endpoint: Endpoint, limits: Limits) -> grpc.Channel:
    """A blocking channel to a service, for processes without an event loop."""
    options = client_options(limits)
    if endpoint.ca is None:
        return grpc.insecure_channel(endpoint.address, options)
    return grpc.secure_channel(endpoint.address, _credentials(endpoint), options)


def call_metadata(endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
    """The metadata that carries the endpoint's token; empty without one."""
    return (("authorization", f"Bearer {endpoint.token}"),) if endpoint.token else ()


def _credentials(endpoint: Endpoint) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        endpoint.ca.read_bytes() if endpoint.ca else None,
        endpoint.key.read_bytes() if endpoint.key else None,
        endpoint.certificate.read_bytes() if endpoint.certificate else None,
    )


def is_transient(error: grpc.RpcError) -> bool:
    """Whether the same call may succeed later: the service is down or full.

    gRPC itself gives RESOURCE_EXHAUSTED, the code of a full service, to a message that is too
    large, which will be too large every time.
    """
    code = error.code() if isinstance(error, grpc.Call | aio.AioRpcError) else None
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        message = status_of(error).message
        return not any(words in message for words in _TOO_LARGE)
    return code is grpc.StatusCode.UNAVAILABLE


def status_of(error: grpc.RpcError) -> status_pb2.Status:
    """The `google.rpc.Status` that a call failed with, details included."""
    if not isinstance(error, grpc.Call | aio.AioRpcError):
        return unavailable("service", str(error)).to_status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return status_pb2.Status.FromString(value if isinstance(value, bytes) else b"")
    return status_pb2.Status(code=error.code().value[0], message=error.details() or "")
