"""The generated stubs that calls go through."""

from typing import Any

from google.longrunning import operations_pb2_grpc

from palmfolio._connection import ServiceName
from palmfolio.v1 import scorer_pb2_grpc, selector_pb2_grpc, trainer_pb2_grpc

STUBS: dict[ServiceName, Any] = {
    "scorer": scorer_pb2_grpc.ScorerStub,
    "trainer": trainer_pb2_grpc.TrainerStub,
    "selector": selector_pb2_grpc.SelectorStub,
}
OPERATIONS_STUB: Any = operations_pb2_grpc.OperationsStub
