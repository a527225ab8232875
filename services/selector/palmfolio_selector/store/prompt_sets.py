"""Prompt sets in the database."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import distinct, func, select
from sqlalchemy.orm import Session

from palmfolio.v1 import prompts_pb2
from palmfolio_runtime import names
from palmfolio_runtime.digest import digest
from palmfolio_runtime.errors import not_found
from palmfolio_runtime.pages import Listing
from palmfolio_runtime.prompts import ChatMessage, Prompt
from palmfolio_selector.store.inserts import ensure_keys, insert_missing
from palmfolio_selector.store.tables import PromptRow, PromptSetMemberRow, PromptSetRow

_ID_DIGITS = 32
_SETS = Listing("promptSets", float, str)
_PROMPTS = Listing("prompts", int)


def ensure_prompts(session: Session, prompts: Iterable[Prompt]) -> dict[str, int]:
    """The key of each prompt by its digest; prompts that are not there yet are added."""
    rows = {prompt.digest: prompt for prompt in prompts}
    columns = {value: _columns(value, prompt) for value, prompt in rows.items()}
    return ensure_keys(session, PromptRow, PromptRow.digest, PromptRow.key, columns)


def _columns(value: str, prompt: Prompt) -> dict[str, Any]:
    text = prompt.text
    return {
        "digest": value,
        "text": text or "",
        "messages": prompt.chat() if text is None else None,
        "reference": prompt.reference,
    }


def prompt_of(row: PromptRow, tags: Sequence[str] | None = None) -> Prompt:
    """The prompt of a row; tags belong to the row's place in a set."""
    if row.messages is None:
        return Prompt.of_text(row.text, row.reference, tags or ())
    turns = tuple(ChatMessage(turn["role"], turn["content"]) for turn in row.messages)
    return Prompt(turns, row.reference, tuple(tags or ()))


def set_id(prompts: Sequence[Prompt]) -> str:
    """The id of a set: a digest of its prompts in their order.

    Never changes for the same prompts: stored portfolios name their sets by it
    (tests/unit/selector/test_golden_ids.py).
    """
    return digest([prompt.canonical() for prompt in prompts], _ID_DIGITS)


def add(session: Session, prompts: Sequence[Prompt], display_name: str) -> PromptSetRow:
    """Stores a set; the same prompts in the same order give the same set.

    The tags of a set that is there already stay as they are.
    """
    identifier = set_id(prompts)
    row = session.get(PromptSetRow, identifier)
    if row is not None:
        return row
    keys = ensure_prompts(session, prompts)
    insert_missing(
        session,
        PromptSetRow,
        [{"id": identifier, "display_name": display_name, "created": time.time()}],
    )
    insert_missing(
        session,
        PromptSetMemberRow,
        [
            {
                "prompt_set": identifier,
                "position": position,
                "prompt": keys[prompt.digest],
                "tags": list(prompt.tags) or None,
            }
            for position, prompt in enumerate(prompts)
        ],
    )
    return get(session, identifier)


def get(session: Session, identifier: str) -> PromptSetRow:
    """The set of that id.

    Raises:
        ServiceError: NOT_FOUND.
    """
    row = session.get(PromptSetRow, identifier)
    if row is None:
        raise not_found(names.PROMPT_SETS.name(identifier), "create it with CreatePromptSet")
    return row


def prompts_of(session: Session, identifier: str) -> list[Prompt]:
    """A set's prompts, in order."""
    query = (
        select(PromptRow, PromptSetMemberRow.tags)
        .join(PromptSetMemberRow, PromptSetMemberRow.prompt == PromptRow.key)
        .where(PromptSetMemberRow.prompt_set == identifier)
        .order_by(PromptSetMemberRow.position)
    )
    return [prompt_of(row, tags) for row, tags in session.execute(query)]


def list_page(
    session: Session,
    size: int,
    token: str,
    message: Callable[[PromptSetRow], prompts_pb2.PromptSet],
    max_bytes: int,
) -> tuple[list[prompts_pb2.PromptSet], str]:
    """One page of sets, newest first, and the next page's token (empty on the last)."""
    return _SETS.newest_first(session, PromptSetRow, size, token, message, max_bytes)


def sizes(session: Session, identifiers: Sequence[str]) -> dict[str, int]:
    """How many prompts each of some sets has."""
    members = PromptSetMemberRow
    query = (
        select(members.prompt_set, func.count())
        .where(members.prompt_set.in_(identifiers))
        .group_by(members.prompt_set)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def prompts_page(
    session: Session, identifier: str, size: int, token: str, max_bytes: int
) -> tuple[list[prompts_pb2.Prompt], str]:
    """One page of a set's prompts, in order, and the next page's token (empty on the last).

    Args:
        identifier: the set's id.
        size: prompts of the page, as the client asks for it.
        token: as the client sent it.
        max_bytes: of one gRPC message.

    Raises:
        ServiceError: NOT_FOUND for the set, INVALID_ARGUMENT for size or token.
    """
    get(session, identifier)
    page = _PROMPTS.page(size, token, {"prompt_set": identifier})
    members = PromptSetMemberRow
    query = (
        select(members.position, PromptRow, members.tags)
        .join(PromptRow, members.prompt == PromptRow.key)
        .where(members.prompt_set == identifier)
        .order_by(members.position)
        .limit(page.size + 1)
    )
    if page.after is not None:
        query = query.where(members.position > page.after[0])
    return page.cut(
        session.execute(query).all(),
        lambda row: (row[0],),
        lambda row: prompt_of(row[1], row[2]).to_message(),
        max_bytes,
    )


def without_reference(
    session: Session, identifier: str, limit: int
) -> tuple[list[tuple[int, Prompt]], int]:
    """The first `limit` prompts of a set that have no reference, with their positions from 0.

    Returns:
        The (position, prompt) pairs, and the number of all such prompts.
    """
    members = (
        select(PromptSetMemberRow.position, PromptRow)
        .join(PromptRow, PromptRow.key == PromptSetMemberRow.prompt)
        .where(PromptSetMemberRow.prompt_set == identifier, func.trim(PromptRow.reference) == "")
    )
    first = session.execute(members.order_by(PromptSetMemberRow.position).limit(limit))
    count = session.scalar(select(func.count()).select_from(members.subquery()))
    return [(position, prompt_of(row)) for position, row in first], count or 0


def distinct_size(session: Session, identifier: str) -> int:
    """The number of different prompts in a set."""
    query = select(func.count(distinct(PromptSetMemberRow.prompt))).where(
        PromptSetMemberRow.prompt_set == identifier
    )
    return session.scalar(query) or 0
