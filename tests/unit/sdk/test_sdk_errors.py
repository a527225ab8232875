"""Statuses become exceptions that say what the service said."""

import concurrent.futures

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

import palmfolio
from palmfolio import errors

BY_CODE = [
    ("INVALID_ARGUMENT", palmfolio.InvalidArgument, ValueError),
    ("NOT_FOUND", palmfolio.NotFound, LookupError),
    ("ALREADY_EXISTS", palmfolio.AlreadyExists, FileExistsError),
    ("FAILED_PRECONDITION", palmfolio.FailedPrecondition, RuntimeError),
    ("RESOURCE_EXHAUSTED", palmfolio.ResourceExhausted, RuntimeError),
    ("UNAUTHENTICATED", palmfolio.Unauthenticated, PermissionError),
    ("PERMISSION_DENIED", palmfolio.PermissionDenied, PermissionError),
    ("CANCELLED", palmfolio.Cancelled, concurrent.futures.CancelledError),
    ("DEADLINE_EXCEEDED", palmfolio.DeadlineExceeded, TimeoutError),
    ("UNAVAILABLE", palmfolio.Unavailable, ConnectionError),
    ("UNIMPLEMENTED", palmfolio.Unimplemented, NotImplementedError),
    ("INTERNAL", palmfolio.ServerFault, RuntimeError),
    ("DATA_LOSS", palmfolio.ServerFault, RuntimeError),
]


@pytest.mark.parametrize(("code", "ours", "standard"), BY_CODE)
def test_each_code_has_its_class_and_the_standard_librarys(
    code: str, ours: type[palmfolio.ServiceError], standard: type[Exception]
) -> None:
    status = status_pb2.Status(code=code_pb2.Code.Value(code), message="what happened")
    error = errors.from_status(status)
    assert type(error) is ours
    assert isinstance(error, standard)
    assert isinstance(error, palmfolio.PalmfolioError)
    assert (str(error), error.code) == ("what happened", code)


def test_every_grpc_code_is_known() -> None:
    for code in grpc.StatusCode:
        if code is not grpc.StatusCode.OK:
            error = errors.from_status(status_pb2.Status(code=code.value[0]))
            assert error.code == code.name
            assert code.name in str(error)


def test_a_code_from_the_future_is_a_server_fault() -> None:
    error = errors.from_status(status_pb2.Status(code=77, message="odd"))
    assert isinstance(error, palmfolio.ServerFault)
    assert error.code == "UNKNOWN"


def test_details_are_read() -> None:
    status = status_pb2.Status(code=3, message="bad")
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(
            reason="INVALID_FIELD", domain="palmfolio", metadata={"limit": "64"}
        )
    )
    violation = error_details_pb2.BadRequest.FieldViolation(
        field="weights.values[x]", description="unknown trait"
    )
    status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    status.details.add().Pack(error_details_pb2.ResourceInfo(resource_name="policies/a"))
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(2500)
    status.details.add().Pack(retry)

    error = errors.from_status(status)

    assert error.reason == "INVALID_FIELD"
    assert error.metadata == {"limit": "64"}
    assert error.violations == (palmfolio.FieldViolation("weights.values[x]", "unknown trait"),)
    assert error.resource == "policies/a"
    assert error.retry_after == 2.5


@pytest.mark.slow
def test_a_service_that_is_not_there_is_named_with_its_address() -> None:
    with (
        palmfolio.Client(scorer="127.0.0.1:1") as client,
        pytest.raises(palmfolio.Unavailable, match=r"the scorer at 127\.0\.0\.1:1"),
    ):
        client.scorer.server_info(timeout=5)
