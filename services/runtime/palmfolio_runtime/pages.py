"""Pages of a listing: one meaning of page size and page token for every service.

A page size of 0 means 100, at most 1,000 are given, a negative one is refused. A page whose rows do
not fit into a message has fewer, and its token goes on after the last of them. A page token is
opaque to clients. It holds the key of the last row of its page, and belongs to one listing with one
set of filters: with another listing, or other filters, it is refused.
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from google.protobuf.message import Message

from palmfolio_runtime.digest import digest
from palmfolio_runtime.errors import ServiceError, invalid_argument

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000

Key: TypeAlias = tuple[int | float | str, ...]
"""What a listing is ordered by: unique for each row."""

Row = TypeVar("Row")
Shown = TypeVar("Shown", bound=Message)

# Of the field that holds a row's message: its number and its length.
_FRAME_BYTES = 8

_LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class Page:
    """One page that a client asks for.

    Attributes:
        size: the number of rows, 1 to 1,000.
        after: the key of the row that the page starts after; None on the first page.
        scope: the listing and its filters, as their digest.
    """

    size: int
    after: Key | None
    scope: str

    def cut(
        self,
        rows: Sequence[Row],
        key: Callable[[Row], Key],
        message: Callable[[Row], Shown],
        max_bytes: int,
    ) -> tuple[list[Shown], str]:
        """The messages of this page, and the token of the next one; empty when this is the last.

        Args:
            rows: the rows after `after` in the listing's order, `size + 1` of them if there are.
            key: a row's key.
            message: what shows a row.
            max_bytes: of one gRPC message. A page takes half of it, but for a single large row.
        """
        shown: list[Shown] = []
        left = max_bytes // 2
        for row in rows[: self.size]:
            made = message(row)
            left -= made.ByteSize() + _FRAME_BYTES
            if shown and left < 0:
                break
            shown.append(made)
        # One row more than the page holds tells whether there is a next page, without a count.
        if len(shown) == len(rows):
            return shown, ""
        text = json.dumps([self.scope, *key(rows[len(shown) - 1])], separators=(",", ":"))
        return shown, base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class Listing:
    """A listing whose rows are in the order of a unique key.

    Args:
        name: the listing's name, part of its tokens.
        key: the types of the key's parts: `int` (0 to 2⁶³ − 1), `float`, `str`.

    Example:
        >>> from palmfolio.v1 import scorer_pb2
        >>> policies = Listing("policies", float, str)
        >>> page = policies.page(page_size=2, page_token="")
        >>> rows = [(3.0, "c"), (2.0, "b"), (1.0, "a")]
        >>> shown, token = page.cut(
        ...     rows, lambda row: row, lambda row: scorer_pb2.Trait(name=row[1]), 2**20
        ... )
        >>> [trait.name for trait in shown]
        ['c', 'b']
        >>> policies.page(page_size=2, page_token=token).after
        (2.0, 'b')
    """

    def __init__(self, name: str, *key: type[int | float | str]) -> None:
        self._name = name
        self._key = key

    def page(
        self, page_size: int, page_token: str, filters: Mapping[str, Any] | None = None
    ) -> Page:
        """The page that a request asks for.

        Args:
            page_size: as the client sent it.
            page_token: as the client sent it; empty for the first page.
            filters: what the request narrows the listing to, JSON values by field.

        Raises:
            ServiceError: INVALID_ARGUMENT for a negative page size, or a token that is not of this
                listing with these filters.
        """
        if page_size < 0:
            raise invalid_argument(
                ("page_size", f"{page_size} is negative; 0 means {DEFAULT_PAGE_SIZE}")
            )
        # Asking for too much is not an error: a client goes on with the token in any case.
        size = min(page_size, MAX_PAGE_SIZE) or DEFAULT_PAGE_SIZE
        scope = digest({"listing": self._name, "filters": dict(filters or {})}, length=12)
        return Page(size, self._read(page_token, scope) if page_token else None, scope)

    def newest_first(
        self,
        session: "Session",
        table: type[Row],
        page_size: int,
        page_token: str,
        message: Callable[[Row], Shown],
        max_bytes: int,
        condition: "ColumnElement[bool] | None" = None,
        filters: Mapping[str, Any] | None = None,
    ) -> tuple[list[Shown], str]:
        """One page of a table's rows as messages, newest first, and the next page's token.

        Args:
            table: has the columns `created` (a float) and `id` (a text), which are the listing's
                key.
            page_size: as the client sent it.
            page_token: as the client sent it; empty for the first page.
            message: what shows a row.
            max_bytes: of one gRPC message.
            condition: what a row must meet.
            filters: what stands for the condition in the page tokens.

        Raises:
            ServiceError: as `page`.
        """
        # Here, because the scorer has pages and no database.
        from sqlalchemy import select, tuple_

        page = self.page(page_size, page_token, filters)
        columns: Any = table
        query = select(table).order_by(columns.created.desc(), columns.id.desc())
        if page.after is not None:
            query = query.where(tuple_(columns.created, columns.id) < page.after)
        if condition is not None:
            query = query.where(condition)
        # One row more than the page tells whether there is another page.
        rows = session.scalars(query.limit(page.size + 1)).all()
        return page.cut(rows, attrgetter("created", "id"), message, max_bytes)

    def _read(self, token: str, scope: str) -> Key:
        try:
            # `rstrip("=")` took the padding away; too much of it does no harm.
            parts = json.loads(base64.urlsafe_b64decode(token.encode() + b"=="))
        except (binascii.Error, ValueError, RecursionError) as error:
            raise _not_a_token() from error
        if not isinstance(parts, list) or parts[:1] != [scope]:
            raise _not_a_token()
        key = tuple(parts[1:])
        if len(key) != len(self._key) or not all(map(_is_key_part, key, self._key)):
            raise _not_a_token()
        return key


def _is_key_part(value: object, kind: type) -> bool:
    """Whether a database can compare the value: clients can forge tokens."""
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    if isinstance(value, int):
        return 0 <= value <= _LARGEST_INTEGER
    if isinstance(value, float):
        return math.isfinite(value)
    # PostgreSQL takes no NUL in a text, and no database takes a lone surrogate.
    return isinstance(value, str) and value.isprintable()


def _not_a_token() -> ServiceError:
    return invalid_argument(
        ("page_token", "is not a page token of this server; pass next_page_token unchanged")
    )
