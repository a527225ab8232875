"""Errors that a service answers with: a gRPC code, a stable reason, and what to do about it.

An error travels in the trailing metadata of its call, of which gRPC takes about 8 KiB: a longer one
would reach the client as RESOURCE_EXHAUSTED. So messages and details are shortened, and only the
first of many violations are listed.

To add a case: add its reason to `protos/palmfolio/v1/errors.proto`, raise it through a function of
this module, and give it an exception in `palmfolio.errors`, the SDK's tree.
"""

from collections.abc import Mapping
from typing import TypeAlias

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from palmfolio.v1 import errors_pb2

DOMAIN = "palmfolio"

Reason: TypeAlias = errors_pb2.ErrorReason.ValueType

# Bytes on the wire. With base64 and the message twice, these make 7 KiB at most.
_MESSAGE_BYTES, _VIOLATIONS_BYTES, _METADATA_BYTES = 1500, 1400, 800
_FIELD_BYTES, _DESCRIPTION_BYTES, _NAME_BYTES = 160, 480, 240


class ServiceError(Exception):
    """An error that is sent to the client; any other exception is sent as INTERNAL.

    Attributes:
        code: the gRPC status code.
        reason: why, from `errors.proto`.
        message: for people: what is wrong, what is allowed, and what to do next.
        details: `google.rpc` details in addition to the `ErrorInfo` that every error carries.
        metadata: the `ErrorInfo`'s metadata, for programs.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: Reason,
        message: str,
        *,
        details: tuple[Message, ...] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.reason = reason
        self.message = shortened(message, _MESSAGE_BYTES)
        self.details = details
        each = _METADATA_BYTES // max(1, len(metadata or ()))
        self.metadata = {key: shortened(value, each) for key, value in (metadata or {}).items()}
        super().__init__(self.message)

    def to_status(self) -> status_pb2.Status:
        """The error as a `google.rpc.Status` with its details."""
        # `ErrorInfo` holds the bare reason; the enum's prefix is a rule of proto style only.
        name = errors_pb2.ErrorReason.Name(self.reason).removeprefix("ERROR_REASON_")
        info = error_details_pb2.ErrorInfo(reason=name, domain=DOMAIN, metadata=self.metadata)
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in (info, *self.details):
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        return status


def shortened(text: str, size: int) -> str:
    """The text, or its beginning and `…`, in at most `size` bytes of gRPC's encoding of messages.

    Characters other than ASCII take three times their bytes there.

    Example:
        >>> shortened("a very long name", 10)
        'a…'
        >>> shortened("short", 10)
        'short'
    """
    lengths = [_wire_bytes(character) for character in text]
    if sum(lengths) <= size:
        return text
    left, kept = size - _wire_bytes("…"), 0
    for length in lengths:
        left -= length
        if left < 0:
            break
        kept += 1
    return text[:kept] + "…"


def _wire_bytes(character: str) -> int:
    if " " <= character <= "~" and character != "%":
        return 1
    return 3 * len(character.encode("utf-8", "surrogatepass"))


def invalid_argument(*violations: tuple[str, str]) -> ServiceError:
    """INVALID_ARGUMENT naming fields: each violation is (field path, what is wrong and allowed).

    Where there are more than fit, the first ones are given with the number of the others.
    """
    details = error_details_pb2.BadRequest()
    listed: list[str] = []
    left = _VIOLATIONS_BYTES
    for field, description in violations:
        path = shortened(field, _FIELD_BYTES)
        text = shortened(description, _DESCRIPTION_BYTES)
        left -= sum(map(_wire_bytes, f"{path}: {text}; "))
        if listed and left < 0:
            break
        details.field_violations.add(field=path, description=text)
        listed.append(f"{path}: {text}")
    more = len(violations) - len(listed)
    message = "; ".join(listed) + (f"; and {more:,} more" if more else "")
    return ServiceError(
        grpc.StatusCode.INVALID_ARGUMENT,
        errors_pb2.ERROR_REASON_INVALID_FIELD,
        message,
        details=(details,),
    )


def not_found(name: str, hint: str = "") -> ServiceError:
    """NOT_FOUND for a resource name such as `policies/abc`."""
    name = shortened(name, _NAME_BYTES)
    info = error_details_pb2.ResourceInfo(
        resource_type=name.split("/", 1)[0], resource_name=name, description="does not exist"
    )
    message = f"{name} does not exist" + (f"; {hint}" if hint else "")
    return ServiceError(
        grpc.StatusCode.NOT_FOUND,
        errors_pb2.ERROR_REASON_RESOURCE_NOT_FOUND,
        message,
        details=(info,),
    )


def already_exists(name: str, message: str, reason: Reason) -> ServiceError:
    """ALREADY_EXISTS for a resource or request id."""
    name = shortened(name, _NAME_BYTES)
    info = error_details_pb2.ResourceInfo(
        resource_type=name.split("/", 1)[0], resource_name=name, description="exists"
    )
    return ServiceError(grpc.StatusCode.ALREADY_EXISTS, reason, message, details=(info,))


def failed_precondition(reason: Reason, message: str, **metadata: str) -> ServiceError:
    """FAILED_PRECONDITION: the request is well-formed, but the state does not allow it."""
    return ServiceError(
        grpc.StatusCode.FAILED_PRECONDITION, reason, message, metadata=metadata or None
    )


def resource_exhausted(message: str, retry_after_seconds: float) -> ServiceError:
    """RESOURCE_EXHAUSTED: a queue is full; `RetryInfo` tells when to try again."""
    delay = duration_pb2.Duration()
    # At least 1 ms: a delay of zero would ask for a retry at once.
    delay.FromMilliseconds(max(1, round(retry_after_seconds * 1000)))
    return ServiceError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        errors_pb2.ERROR_REASON_QUEUE_FULL,
        message,
        details=(error_details_pb2.RetryInfo(retry_delay=delay),),
    )


def unavailable(dependency: str, message: str, retry_after_seconds: float = 1.0) -> ServiceError:
    """UNAVAILABLE because another service or the database cannot be reached."""
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(max(1, round(retry_after_seconds * 1000)))
    return ServiceError(
        grpc.StatusCode.UNAVAILABLE,
        errors_pb2.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
        message,
        details=(error_details_pb2.RetryInfo(retry_delay=delay),),
        metadata={"dependency": dependency},
    )


def unauthenticated(message: str) -> ServiceError:
    """UNAUTHENTICATED: the call has no token, or one that the server does not know."""
    return ServiceError(
        grpc.StatusCode.UNAUTHENTICATED, errors_pb2.ERROR_REASON_TOKEN_INVALID, message
    )


def permission_denied(message: str) -> ServiceError:
    """PERMISSION_DENIED: the token's role may not make this call."""
    return ServiceError(
        grpc.StatusCode.PERMISSION_DENIED, errors_pb2.ERROR_REASON_ROLE_INSUFFICIENT, message
    )


def cancelled(message: str) -> ServiceError:
    """CANCELLED: the operation was cancelled."""
    return ServiceError(
        grpc.StatusCode.CANCELLED, errors_pb2.ERROR_REASON_OPERATION_CANCELLED, message
    )


def internal(request_id: str) -> ServiceError:
    """INTERNAL: a fault of the server. Its log has the details under the request id."""
    # The cause stays in the log: its text may hold other people's prompts or the server's paths.
    return ServiceError(
        grpc.StatusCode.INTERNAL,
        errors_pb2.ERROR_REASON_INTERNAL_FAULT,
        f"the server failed; its log has the details under request id {request_id}",
        metadata={"request_id": request_id},
    )
