"""Policies that an older trainer stored: they keep their ids and get today's content address.

An id is part of names that others have stored, such as the selector's evaluations, so it never
changes. The content address does change its form: when a base model's revision covers more files,
or when the canonical form of a spec gets a new version.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from palmfolio_runtime.digest import digest
from palmfolio_runtime.logs import get_logger
from palmfolio_trainer.models.base_models import BaseModel
from palmfolio_trainer.policies.spec import TrainingSpec
from palmfolio_trainer.store.tables import PolicyRow

log = get_logger(__name__)

_FORMER_BASE_DIGITS = 12


def adopt(session: Session, model: BaseModel) -> None:
    """Gives addresses to the stored policies of a base model that have none.

    A policy belongs to the model when it was trained from the revision that the model's files have
    in the former form. Its spec then names the revision of today's form.
    """
    query = select(PolicyRow).where(PolicyRow.address.is_(None), PolicyRow.base_model == model.name)
    for row in session.scalars(query.order_by(PolicyRow.created, PolicyRow.id)).all():
        address = _address(row, model)
        # Of two stored policies that are the same in today's form, the older one is found.
        if address and not session.scalar(select(PolicyRow.id).where(PolicyRow.address == address)):
            row.address = address
            session.flush()
            log.info("a stored policy has a new address", policy=row.id, address=address)


def _address(row: PolicyRow, model: BaseModel) -> str | None:
    """The row's address in today's form, its spec updated; None when it is of another revision."""
    if row.spec is None:
        return model.address if row.id == _former_base_id(model) else None
    spec = TrainingSpec.model_validate_json(row.spec)
    if spec.base_revision == model.former_revision:
        spec = spec.model_copy(update={"base_revision": model.revision})
    elif spec.base_revision != model.revision:
        return None
    row.spec = spec.model_dump_json()
    return spec.address


def _former_base_id(model: BaseModel) -> str:
    """The id that an older trainer gave to the base model's own policy."""
    identity = {"base_model": model.name, "base_revision": model.former_revision}
    return f"base-{digest(identity, _FORMER_BASE_DIGITS)}"
