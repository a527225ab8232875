"""Who may make which call: declared per method, in the protocol or here.

A method of a palmfolio service says itself whether it changes anything, by `option
idempotency_level = NO_SIDE_EFFECTS` in its proto file. Methods of services whose protocol is not
ours are declared here. A method that is declared nowhere needs the role `operator`: what was
forgotten is closed, not open.
"""

import functools
import hashlib
import hmac
from collections.abc import Sequence
from enum import Enum

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions

from palmfolio_runtime import errors
from palmfolio_runtime.config import Token


class Access(Enum):
    """Who may make a call."""

    OPEN = "open"
    """Everybody, without a token."""
    READER = "reader"
    """Every known token."""
    OPERATOR = "operator"
    """Tokens with the role `operator`."""


# Whoever reaches the port may ask whether the service is alive, and what it speaks.
_OPEN_SERVICES = frozenset(
    {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
)
_OPERATIONS = "google.longrunning.Operations"
_METHODS = {
    f"{_OPERATIONS}.GetOperation": Access.READER,
    f"{_OPERATIONS}.ListOperations": Access.READER,
    f"{_OPERATIONS}.WaitOperation": Access.READER,
    f"{_OPERATIONS}.CancelOperation": Access.OPERATOR,
    f"{_OPERATIONS}.DeleteOperation": Access.OPERATOR,
}
_OUR_PACKAGES = ("palmfolio.",)


@functools.cache
def access_of(method: str) -> Access:
    """Who may call a method.

    Args:
        method: as gRPC names it, `/palmfolio.v1.Scorer/Score`.
    """
    service, _, name = method.removeprefix("/").partition("/")
    if service in _OPEN_SERVICES:
        return Access.OPEN
    declared = _METHODS.get(f"{service}.{name}")
    if declared is not None:
        return declared
    if not service.startswith(_OUR_PACKAGES):
        return Access.OPERATOR
    try:
        described = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    except KeyError:
        return Access.OPERATOR
    changes_nothing = described.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    return Access.READER if changes_nothing else Access.OPERATOR


def authorise(method: str, authorization: str, tokens: Sequence[Token]) -> None:
    """Checks that a call may be made.

    Args:
        method: as gRPC names it.
        authorization: the call's `authorization` metadata; empty without one.
        tokens: the known tokens; empty lets everybody in.

    Raises:
        ServiceError: UNAUTHENTICATED without a known token, PERMISSION_DENIED for a token whose
            role is too low.
    """
    access = access_of(method)
    if not tokens or access is Access.OPEN:
        return
    scheme, _, presented = authorization.partition(" ")
    if scheme.lower() != "bearer" or not presented:
        raise errors.unauthenticated("a token is required: send `authorization: Bearer TOKEN`")
    hashed = hashlib.sha256(presented.encode()).hexdigest()
    # Compared in constant time: how long a refusal takes tells nothing about the known tokens.
    role = next((t.role for t in tokens if hmac.compare_digest(t.sha256, hashed)), None)
    if role is None:
        raise errors.unauthenticated("the token is not known to this server")
    if access is Access.OPERATOR and role != "operator":
        call = method.rsplit("/", 1)[-1]
        raise errors.permission_denied(f"{call} needs the role operator; the token's is {role}")
