"""Policies in the database."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from palmfolio.v1 import trainer_pb2
from palmfolio_selector.store.inserts import BATCH, ensure_keys
from palmfolio_selector.store.tables import PolicyRow


def remember(session: Session, policy: trainer_pb2.Policy) -> PolicyRow:
    """Stores a policy as the trainer describes it, and returns its row."""
    weights = dict(policy.spec.weights.values) or None
    columns = {
        "name": policy.name,
        "base_model": policy.spec.base_model,
        "is_base_model": policy.is_base_model,
        "weights": None if policy.is_base_model else weights,
        "adapter": policy.adapter,
    }
    ensure_keys(session, PolicyRow, PolicyRow.name, PolicyRow.key, {policy.name: columns})
    row = by_name(session, [policy.name])[policy.name]
    # The folder of the artifacts may have moved since the policy was first seen.
    row.adapter = policy.adapter
    return row


def by_name(session: Session, names: Sequence[str]) -> Mapping[str, PolicyRow]:
    """The known policies among `names`."""
    rows: dict[str, PolicyRow] = {}
    for start in range(0, len(names), BATCH):
        query = select(PolicyRow).where(PolicyRow.name.in_(names[start : start + BATCH]))
        rows |= {row.name: row for row in session.scalars(query)}
    return rows
