"""Page sizes and tokens mean the same in every listing."""

import base64
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palmfolio.v1 import scorer_pb2
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.pages import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Key, Listing

POLICIES = Listing("policies", float, str)
NUMBERS = Listing("numbers", int)


def shown_as(row: Key) -> scorer_pb2.Trait:
    """The message that shows a row."""
    return scorer_pb2.Trait(name=repr(row))


def pages_of(
    listing: Listing, rows: list[Key], size: int, max_bytes: int = 2**20
) -> list[list[Key]]:
    """Every page of the rows, read as a client reads them."""
    rows_of = {shown_as(row).name: row for row in rows}
    pages, token = [], ""
    while True:
        page = listing.page(size, token)
        after = page.after
        rest = rows if after is None else [row for row in rows if row > after]
        shown, token = page.cut(rest[: page.size + 1], lambda row: row, shown_as, max_bytes)
        pages.append([rows_of[message.name] for message in shown])
        if not token:
            return pages


def token_of(scope: str, *key: object) -> str:
    """A token as a client could forge it."""
    return base64.urlsafe_b64encode(json.dumps([scope, *key]).encode()).decode()


@given(
    rows=st.lists(
        st.tuples(st.floats(-1e300, 1e300), st.text("abc-9", min_size=1)), unique=True, max_size=30
    ),
    size=st.integers(1, 12),
)
def test_pages_show_every_row_once_in_order(rows: list[Key], size: int) -> None:
    rows = sorted(rows)
    pages = pages_of(POLICIES, rows, size)
    assert [row for page in pages for row in page] == rows
    assert all(len(page) == size for page in pages[:-1])


@given(
    rows=st.lists(st.tuples(st.text("abc-9", min_size=1, max_size=400)), unique=True, max_size=30),
    size=st.integers(1, 12),
    max_bytes=st.integers(1, 4000),
)
def test_pages_fit_into_messages(rows: list[Key], size: int, max_bytes: int) -> None:
    """No row is lost, and only a row that is too large by itself makes a page too large."""
    rows = sorted(rows)
    pages = pages_of(Listing("names", str), rows, size, max_bytes)
    assert [row for page in pages for row in page] == rows
    for page in pages:
        bytes_of_page = scorer_pb2.ListTraitsResponse(traits=map(shown_as, page)).ByteSize()
        assert len(page) <= max(size, 1)
        assert len(page) <= 1 or bytes_of_page <= max_bytes / 2
    # A page that could have taken the next row has all that it may have.
    for page, following in itertools.pairwise(pages):
        with_next = sum(shown_as(row).ByteSize() + 8 for row in [*page, following[0]])
        assert len(page) == size or with_next > max_bytes // 2


@pytest.mark.parametrize(
    ("asked", "given"),
    [(0, DEFAULT_PAGE_SIZE), (1, 1), (1000, MAX_PAGE_SIZE), (5000, MAX_PAGE_SIZE)],
)
def test_a_page_size_has_one_meaning(asked: int, given: int) -> None:
    assert NUMBERS.page(asked, "").size == given


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(ServiceError, match="page_size: -1 is negative"):
        NUMBERS.page(-1, "")


def test_a_token_belongs_to_its_listing_and_filters() -> None:
    page = POLICIES.page(1, "", {"trait": "brief"})
    _, token = page.cut([(1.0, "a"), (2.0, "b")], lambda row: row, shown_as, 2**20)
    assert POLICIES.page(7, token, {"trait": "brief"}).after == (1.0, "a")
    others = [
        (POLICIES, {"trait": "warm"}),
        (POLICIES, None),
        (Listing("users", float, str), {"trait": "brief"}),
    ]
    for listing, filters in others:
        with pytest.raises(ServiceError, match="pass next_page_token unchanged"):
            listing.page(1, token, filters)


@pytest.mark.parametrize(
    "key",
    [
        (),
        (1.0,),
        (1.0, "a", "b"),
        ("a", 1.0),
        (float("nan"), "a"),
        (float("inf"), "a"),
        (1.0, "a\0"),
        (1.0, "\ud800"),
        (True, "a"),
        ([1.0], "a"),
    ],
)
def test_a_forged_key_is_refused(key: tuple[object, ...]) -> None:
    scope = POLICIES.page(1, "").scope
    with pytest.raises(ServiceError, match="page_token"):
        POLICIES.page(1, token_of(scope, *key))


@pytest.mark.parametrize("number", [-1, 2**63, 10**400, True, 1.5, "1"])
def test_a_number_that_no_database_holds_is_refused(number: object) -> None:
    with pytest.raises(ServiceError, match="page_token"):
        NUMBERS.page(1, token_of(NUMBERS.page(1, "").scope, number))


@given(st.text(min_size=1))
def test_any_text_is_a_token_or_refused(token: str) -> None:
    with pytest.raises(ServiceError, match="page_token"):
        NUMBERS.page(1, token)


def test_deep_nesting_is_refused() -> None:
    token = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    with pytest.raises(ServiceError, match="page_token"):
        NUMBERS.page(1, token)
