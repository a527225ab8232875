"""Prompt sets in the database."""

import time
from collections.abc import Sequence

from sqlalchemy import distinct, func, select
from sqlalchemy.orm import Session

from palmfolio_runtime import names
from palmfolio_runtime.digest import digest
from palmfolio_runtime.errors import not_found
from palmfolio_selector.store.inserts import ensure_keys, insert_missing
from palmfolio_selector.store.tables import PromptRow, PromptSetMemberRow, PromptSetRow

_ID_DIGITS = 32


def ensure_prompts(session: Session, prompts: Sequence[str]) -> dict[str, int]:
    """The key of each prompt; prompts that are not there yet are added."""
    digests = {text: digest(text) for text in prompts}
    rows = {value: {"digest": value, "text": text} for text, value in digests.items()}
    keys = ensure_keys(session, PromptRow, PromptRow.digest, PromptRow.key, rows)
    return {text: keys[value] for text, value in digests.items()}


def set_id(prompts: Sequence[str]) -> str:
    """The id of a set: a digest of its prompts in their order.

    Never changes for the same prompts: stored portfolios name their sets by it
    (tests/unit/selector/test_golden_ids.py).
    """
    return digest(list(prompts), _ID_DIGITS)


def add(session: Session, prompts: Sequence[str], display_name: str) -> PromptSetRow:
    """Stores a set; the same prompts in the same order give the same set."""
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
            {"prompt_set": identifier, "position": position, "prompt": keys[text]}
            for position, text in enumerate(prompts)
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


def prompts_of(session: Session, identifier: str) -> list[tuple[int, str]]:
    """The (key, text) of a set's prompts, in order."""
    query = (
        select(PromptRow.key, PromptRow.text)
        .join(PromptSetMemberRow, PromptSetMemberRow.prompt == PromptRow.key)
        .where(PromptSetMemberRow.prompt_set == identifier)
        .order_by(PromptSetMemberRow.position)
    )
    return [(key, text) for key, text in session.execute(query)]


def distinct_size(session: Session, identifier: str) -> int:
    """The number of different prompts in a set."""
    query = select(func.count(distinct(PromptSetMemberRow.prompt))).where(
        PromptSetMemberRow.prompt_set == identifier
    )
    return session.scalar(query) or 0
