"""Pages of stored rewards."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from sqlalchemy import and_, select, tuple_
from sqlalchemy.orm import Session

from palmfolio.v1 import evaluations_pb2
from palmfolio_runtime.pages import Listing
from palmfolio_runtime.prompts import Prompt
from palmfolio_selector.store.prompt_sets import prompt_of
from palmfolio_selector.store.tables import (
    EvaluationRow,
    PolicyRow,
    PromptRow,
    ResponseRow,
    SamplingRow,
    TraitRow,
)

_KEY = (
    EvaluationRow.policy,
    EvaluationRow.sampling,
    EvaluationRow.prompt,
    EvaluationRow.sample,
    EvaluationRow.trait,
)
_LISTING = Listing("evaluations", int, int, int, int, int)


@dataclass(frozen=True)
class StoredReward:
    """A reward with the names and texts that its keys stand for."""

    policy: str
    prompt: Prompt
    sample: int
    trait: str
    trait_version: str
    raw: float | None
    normalised: float | None
    failure: str
    settings: dict[str, float | str]
    response: str | None


@dataclass(frozen=True)
class Filter:
    """Selects evaluations; an attribute that is empty or None does not restrict them.

    Attributes:
        sampling: key of the sampling settings or the source.
    """

    policy: str = ""
    trait: str = ""
    sampling: int | None = None


def list_page(
    session: Session,
    wanted: Filter,
    size: int,
    token: str,
    message: Callable[[StoredReward], evaluations_pb2.Evaluation],
    max_bytes: int,
) -> tuple[list[evaluations_pb2.Evaluation], str]:
    """One page of evaluations in the order of their keys, and the next page's token."""
    page = _LISTING.page(size, token, asdict(wanted))
    query = (
        select(EvaluationRow, PolicyRow, PromptRow, TraitRow, SamplingRow, ResponseRow.text)
        .join(PolicyRow, PolicyRow.key == EvaluationRow.policy)
        .join(PromptRow, PromptRow.key == EvaluationRow.prompt)
        .join(TraitRow, TraitRow.key == EvaluationRow.trait)
        .join(SamplingRow, SamplingRow.key == EvaluationRow.sampling)
        .outerjoin(
            ResponseRow,
            and_(
                ResponseRow.policy == EvaluationRow.policy,
                ResponseRow.sampling == EvaluationRow.sampling,
                ResponseRow.prompt == EvaluationRow.prompt,
                ResponseRow.sample == EvaluationRow.sample,
            ),
        )
        .order_by(*_KEY)
        .limit(page.size + 1)
    )
    if wanted.policy:
        query = query.where(PolicyRow.name == wanted.policy)
    if wanted.trait:
        query = query.where(TraitRow.name == wanted.trait)
    if wanted.sampling is not None:
        query = query.where(EvaluationRow.sampling == wanted.sampling)
    if page.after is not None:
        query = query.where(tuple_(*_KEY) > page.after)
    return page.cut(
        session.execute(query).all(),
        lambda row: _key(row[0]),
        lambda row: message(_stored_reward(*row)),
        max_bytes,
    )


def _stored_reward(
    row: EvaluationRow,
    policy: PolicyRow,
    prompt: PromptRow,
    trait: TraitRow,
    sampling: SamplingRow,
    response: str | None,
) -> StoredReward:
    return StoredReward(
        policy=policy.name,
        prompt=prompt_of(prompt),
        sample=row.sample,
        trait=trait.name,
        trait_version=trait.version,
        raw=row.raw,
        normalised=row.normalised,
        failure=row.failure,
        settings=sampling.settings,
        response=response,
    )


def _key(row: EvaluationRow) -> tuple[int, ...]:
    return row.policy, row.sampling, row.prompt, row.sample, row.trait
