"""Resource names such as `policies/{id}`."""

import re
from dataclasses import dataclass

from palmfolio_runtime.errors import invalid_argument

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
# Narrower than `_ID`, as ids of clients appear in file names and DNS labels.
_CHOSEN_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")


@dataclass(frozen=True)
class Collection:
    """A kind of resource, whose names are `{collection}/{id}`.

    Attributes:
        prefix: the collection, for example `policies`.

    Example:
        >>> POLICIES.name("a1")
        'policies/a1'
        >>> POLICIES.id("policies/a1")
        'a1'
    """

    prefix: str

    def name(self, identifier: str) -> str:
        """The name of the resource with that id."""
        return f"{self.prefix}/{identifier}"

    def id(self, name: str) -> str:
        """The id in a name that this program wrote or has checked before.

        Raises:
            ValueError: the name is of another collection; for a client's name, use `parse`.
        """
        prefix, slash, identifier = name.partition("/")
        if prefix != self.prefix or not slash:
            raise ValueError(f"{name!r} is not the name of a resource in {self.prefix}/")
        return identifier

    def parse(self, name: str, field: str) -> str:
        """The id in a name that a client sent.

        Args:
            name: what the client sent.
            field: the field's path, for the error.

        Raises:
            ServiceError: INVALID_ARGUMENT when the name is not `{collection}/{id}`.
        """
        problem = self.problem(name)
        if problem:
            raise invalid_argument((field, problem))
        return self.id(name)

    def problem(self, name: str) -> str:
        """Why a name that a client sent is not `{collection}/{id}`; empty when it is."""
        prefix, _, identifier = name.partition("/")
        if prefix == self.prefix and _ID.fullmatch(identifier):
            return ""
        return f"{name!r} is not of the form {self.prefix}/ID"

    def short(self, name: str) -> str:
        """The id in a name that a client may write with or without its collection."""
        return name.removeprefix(f"{self.prefix}/")


OPERATIONS = Collection("operations")
POLICIES = Collection("policies")
PORTFOLIOS = Collection("portfolios")
PROMPT_SETS = Collection("promptSets")
TRAITS = Collection("traits")


def check_chosen_id(identifier: str, field: str) -> str:
    """Returns an id that a client chose: 1 to 63 of a-z, 0-9 and `-`, starting with a letter.

    Raises:
        ServiceError: INVALID_ARGUMENT otherwise.
    """
    if not _CHOSEN_ID.fullmatch(identifier):
        allowed = "1 to 63 of a-z, 0-9 and '-', starting with a letter"
        raise invalid_argument((field, f"{identifier!r} is not an id: {allowed}"))
    return identifier


def check_request_id(request_id: str) -> str:
    """Returns a request id of 1 to 128 characters.

    Raises:
        ServiceError: INVALID_ARGUMENT otherwise.
    """
    if not 1 <= len(request_id) <= 128:
        raise invalid_argument(
            ("request_id", "is required: 1 to 128 characters, the same for every retry of a call")
        )
    return request_id
