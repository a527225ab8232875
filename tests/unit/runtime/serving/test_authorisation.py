"""Who may make which call: every method of every service, by name."""

import hashlib
from importlib import import_module

import pytest
from google.longrunning import operations_pb2
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from palmfolio_runtime.config import Token
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.serving.authorisation import Access, access_of, authorise

MODULES = ("errors", "scorer", "selector", "trainer", "types")
FILES: list[FileDescriptor] = [
    *(import_module(f"palmfolio.v1.{name}_pb2").DESCRIPTOR for name in MODULES),
    operations_pb2.DESCRIPTOR,
    health_pb2.DESCRIPTOR,
    reflection_pb2.DESCRIPTOR,
]

READERS_MAY = {
    "/palmfolio.v1.Scorer/GetServerInfo",
    "/palmfolio.v1.Scorer/ListTraits",
    "/palmfolio.v1.Scorer/Score",
    "/palmfolio.v1.Scorer/ScoreStream",
    "/palmfolio.v1.Selector/CertifyPortfolio",
    "/palmfolio.v1.Selector/GetPortfolio",
    "/palmfolio.v1.Selector/GetPromptSet",
    "/palmfolio.v1.Selector/GetServerInfo",
    "/palmfolio.v1.Selector/ListEvaluations",
    "/palmfolio.v1.Selector/ListPortfolios",
    "/palmfolio.v1.Selector/ListPromptSets",
    "/palmfolio.v1.Selector/ListPrompts",
    "/palmfolio.v1.Selector/PlanPortfolio",
    "/palmfolio.v1.Selector/Route",
    "/palmfolio.v1.Selector/TradeoffCurve",
    "/palmfolio.v1.Selector/WatchBuild",
    "/palmfolio.v1.Trainer/GetPolicy",
    "/palmfolio.v1.Trainer/GetServerInfo",
    "/palmfolio.v1.Trainer/ListPolicies",
    "/palmfolio.v1.Trainer/WatchTraining",
    "/google.longrunning.Operations/GetOperation",
    "/google.longrunning.Operations/ListOperations",
    "/google.longrunning.Operations/WaitOperation",
}
OPERATORS_MAY = {
    "/palmfolio.v1.Scorer/Calibrate",
    "/palmfolio.v1.Selector/BuildPortfolio",
    "/palmfolio.v1.Selector/CreatePromptSet",
    "/palmfolio.v1.Selector/DeletePortfolio",
    "/palmfolio.v1.Selector/ImportEvaluations",
    "/palmfolio.v1.Selector/SelectPortfolio",
    "/palmfolio.v1.Trainer/DeletePolicy",
    "/palmfolio.v1.Trainer/Generate",
    "/palmfolio.v1.Trainer/TrainPolicy",
    "/google.longrunning.Operations/CancelOperation",
    "/google.longrunning.Operations/DeleteOperation",
}
EVERYBODY_MAY = {
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
}
TOKENS = [
    Token(sha256=hashlib.sha256(b"r").hexdigest(), role="reader"),
    Token(sha256=hashlib.sha256(b"o").hexdigest(), role="operator"),
]


def every_method() -> set[str]:
    """The methods of every service that a palmfolio server serves."""
    return {
        f"/{service.full_name}/{method.name}"
        for file in FILES
        for service in file.services_by_name.values()
        for method in service.methods
    }


def test_every_method_has_its_role() -> None:
    declared = {method: access_of(method) for method in every_method()}
    assert declared == (
        dict.fromkeys(EVERYBODY_MAY, Access.OPEN)
        | dict.fromkeys(READERS_MAY, Access.READER)
        | dict.fromkeys(OPERATORS_MAY, Access.OPERATOR)
    )


@pytest.mark.parametrize(
    "method",
    [
        "/palmfolio.v1.Selector/RouteAndRecord",
        "/palmfolio.v1.Selector/GetOrCreateUser",
        "/palmfolio.v2.Scorer/Score",
        "/google.longrunning.Operations/ListEverything",
        "/grpc.reflection.v2.ServerReflection/ServerReflectionInfo",
        "/someone.else/GetSecrets",
        "/",
        "",
    ],
)
def test_a_method_that_is_declared_nowhere_is_closed_to_readers(method: str) -> None:
    assert access_of(method) is Access.OPERATOR


def test_version_1_of_reflection_is_open_as_its_alpha_is() -> None:
    method = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    assert access_of(method) is Access.OPEN


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "UNAUTHENTICATED"),
        ("Basic o", "UNAUTHENTICATED"),
        ("Bearer x", "UNAUTHENTICATED"),
        ("Bearer r", "PERMISSION_DENIED"),
        ("bearer o", None),
    ],
)
def test_an_operators_call(authorization: str, code: str | None) -> None:
    method = "/palmfolio.v1.Trainer/Generate"
    if code is None:
        authorise(method, authorization, TOKENS)
        return
    with pytest.raises(ServiceError) as refused:
        authorise(method, authorization, TOKENS)
    assert refused.value.code.name == code


def test_a_server_without_tokens_lets_everybody_in() -> None:
    authorise("/palmfolio.v1.Trainer/Generate", "", [])
