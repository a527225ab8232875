"""A server inside the test, whose answers each test writes itself."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.longrunning import operations_pb2_grpc
from google.protobuf.message import Message
from google.rpc import status_pb2

from palmfolio.v1 import scorer_pb2_grpc, selector_pb2_grpc, trainer_pb2_grpc

Handler = Callable[[Any, grpc.ServicerContext], Any]

_SERVICERS = (
    (scorer_pb2_grpc.ScorerServicer, scorer_pb2_grpc.add_ScorerServicer_to_server),
    (trainer_pb2_grpc.TrainerServicer, trainer_pb2_grpc.add_TrainerServicer_to_server),
    (selector_pb2_grpc.SelectorServicer, selector_pb2_grpc.add_SelectorServicer_to_server),
    (
        operations_pb2_grpc.OperationsServicer,
        operations_pb2_grpc.add_OperationsServicer_to_server,
    ),
)


@dataclass
class Peer:
    """The other end of the wire: a handler per method name, and every call that came."""

    address: str = ""
    handlers: dict[str, Handler] = field(default_factory=dict)
    calls: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)

    def on(self, method: str, handler: Handler) -> None:
        """Answers `method` with what `handler` returns or yields."""
        self.handlers[method] = handler

    def requests(self, method: str) -> list[Any]:
        """The requests of that method so far, failed attempts included."""
        return [request for name, request, _ in self.calls if name == method]

    def metadata(self, method: str) -> list[dict[str, str]]:
        """The metadata of that method's calls so far."""
        return [metadata for name, _, metadata in self.calls if name == method]

    def answer(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        """Records a call and hands it to the test's handler."""
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        self.calls.append((method, request, metadata))
        return self.handlers[method](request, context)


def abort(
    context: grpc.ServicerContext, code: grpc.StatusCode, text: str, *details: Message
) -> Any:
    """Fails a call with a rich status."""
    status = status_pb2.Status(code=code.value[0], message=text)
    for detail in details:
        status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, text)


def _servicer(base: type, peer: Peer) -> Any:
    def method(name: str) -> Callable[..., Any]:
        return lambda self, request, context: peer.answer(name, request, context)

    names = [name for name in vars(base) if not name.startswith("_")]
    return type(base.__name__, (base,), {name: method(name) for name in names})()


@contextmanager
def serving() -> Iterator[Peer]:
    """A peer that listens on a free port."""
    peer = Peer()
    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        for base, add in _SERVICERS:
            add(_servicer(base, peer), server)
        peer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        yield peer
        server.stop(0).wait()
