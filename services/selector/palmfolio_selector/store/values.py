"""The values of policies: means of their rewards, and the rewards by prompt behind them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Select,
    Table,
    and_,
    cast,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from palmfolio_palm.validation import FloatArray
from palmfolio_selector.store.evaluations import Measurement
from palmfolio_selector.store.inserts import BATCH
from palmfolio_selector.store.tables import (
    EvaluationRow,
    MeanRow,
    PolicyRow,
    PromptSetMemberRow,
)

# Rewards in [0, 1] as whole numbers of 2^-53, the steps of a double between 1/2 and 1, in two
# halves whose sums no 64-bit number is too small for.
_STEPS = 2**53
_HALF = 2**26


@dataclass(frozen=True)
class Mean:
    """A policy's value on one trait.

    Attributes:
        value: mean normalised reward, in [0, 1].
        count: rewards in the mean.
        failed: responses that the trait could not score.
    """

    value: float
    count: int
    failed: int


def means(
    session: Session, how: Measurement, names: Sequence[str] | None = None
) -> dict[str, dict[str, Mean]]:
    """The values of the policies that have all their rewards, by policy name and trait.

    A trait that scored none of a policy's responses is left out.

    Args:
        names: the policies wanted, at most a few thousand; None for every one.
    """
    _materialise(session, how)
    query = (
        select(PolicyRow.name, MeanRow.trait, MeanRow.mean, MeanRow.count, MeanRow.failed)
        .join(MeanRow, MeanRow.policy == PolicyRow.key)
        .where(
            MeanRow.trait.in_(how.traits.values()),
            MeanRow.prompt_set == how.prompt_set,
            MeanRow.sampling == how.sampling,
            MeanRow.samples == how.samples,
        )
        .order_by(PolicyRow.key)
    )
    if names is not None:
        query = query.where(PolicyRow.name.in_(names))
    trait_of = {key: name for name, key in how.traits.items()}
    found: dict[str, dict[str, Mean]] = {name: {} for name in names or ()}
    for name, trait, mean, count, failed in session.execute(query):
        found.setdefault(name, {})[trait_of[trait]] = Mean(mean, count, failed)
    return found


def _materialise(session: Session, how: Measurement) -> None:
    """Computes the means that can be and are not yet: of policies that have all their rewards."""
    places = session.scalar(
        select(func.count()).where(PromptSetMemberRow.prompt_set == how.prompt_set)
    )
    known = exists().where(
        MeanRow.policy == EvaluationRow.policy,
        MeanRow.trait == EvaluationRow.trait,
        MeanRow.prompt_set == how.prompt_set,
        MeanRow.sampling == how.sampling,
        MeanRow.samples == how.samples,
    )
    rewards = func.count(EvaluationRow.normalised)
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    complete = (
        select(
            EvaluationRow.policy,
            EvaluationRow.trait,
            literal(how.prompt_set),
            literal(how.sampling),
            literal(how.samples),
            _mean_reward(is_sqlite),
            rewards,
            func.count() - rewards,
        )
        .join(PromptSetMemberRow, PromptSetMemberRow.prompt == EvaluationRow.prompt)
        .where(*_counting(how), ~known)
        .group_by(EvaluationRow.policy, EvaluationRow.trait)
        .having(and_(func.count() == (places or 0) * how.samples, rewards > 0))
    )
    table = MeanRow.__table__
    assert isinstance(table, Table)
    insert = sqlite.insert(table) if is_sqlite else postgresql.insert(table)
    columns = [
        "policy",
        "trait",
        "prompt_set",
        "sampling",
        "samples",
        "mean",
        "count",
        "failed",
    ]
    session.execute(insert.from_select(columns, complete).on_conflict_do_nothing())


def _mean_reward(is_sqlite: bool) -> ColumnElement[float]:
    """The mean of a group's rewards, the same to the last bit on every database.

    `avg` adds in the order of the rows, and differently on each database. Whole numbers have the
    same sum in any order.
    """
    steps = EvaluationRow.normalised * float(_STEPS)
    # PostgreSQL rounds where SQLite cuts off.
    whole = cast(steps if is_sqlite else func.trunc(steps), BigInteger)
    high = cast(func.sum(whole // _HALF), Float(53))
    low = cast(func.sum(whole % _HALF), Float(53))
    count = cast(func.count(EvaluationRow.normalised), Float(53))
    return (high * float(_HALF) + low) / func.nullif(count, 0.0, type_=Float(53)) / float(_STEPS)


def _counting(how: Measurement) -> Iterable[ColumnElement[bool]]:
    """Which rewards a measurement counts, joined with the set's members."""
    return (
        EvaluationRow.sampling == how.sampling,
        EvaluationRow.sample < how.samples,
        EvaluationRow.trait.in_(how.traits.values()),
        PromptSetMemberRow.prompt_set == how.prompt_set,
    )


def by_prompt(session: Session, how: Measurement, names: Sequence[str]) -> FloatArray:
    """Mean rewards (n, N, d) of policies on the prompts that every one has rewards for.

    N counts different prompts, in the order of their first place in the set.
    """
    row = {name: index for index, name in enumerate(names)}
    column = {key: index for index, key in enumerate(how.traits.values())}
    place = {
        prompt: index
        for index, prompt in enumerate(
            session.scalars(
                select(PromptSetMemberRow.prompt)
                .where(PromptSetMemberRow.prompt_set == how.prompt_set)
                .group_by(PromptSetMemberRow.prompt)
                .order_by(func.min(PromptSetMemberRow.position))
            )
        )
    }
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    X = np.full((len(names), len(place), len(column)), np.nan)
    for start in range(0, len(names), BATCH):
        for name, prompt, trait, mean in session.execute(
            _prompt_means(how, names[start : start + BATCH], is_sqlite)
        ):
            if mean is not None:
                X[row[name], place[prompt], column[trait]] = mean
    kept: FloatArray = X[:, ~np.isnan(X).any(axis=(0, 2)), :]
    return kept


def _prompt_means(
    how: Measurement, names: Sequence[str], is_sqlite: bool
) -> Select[str, int, int, float]:
    members = select(PromptSetMemberRow.prompt).where(
        PromptSetMemberRow.prompt_set == how.prompt_set
    )
    return (
        select(
            PolicyRow.name,
            EvaluationRow.prompt,
            EvaluationRow.trait,
            _mean_reward(is_sqlite),
        )
        .join(EvaluationRow, EvaluationRow.policy == PolicyRow.key)
        .where(
            PolicyRow.name.in_(names),
            EvaluationRow.sampling == how.sampling,
            EvaluationRow.sample < how.samples,
            EvaluationRow.trait.in_(how.traits.values()),
            EvaluationRow.prompt.in_(members),
        )
        .group_by(PolicyRow.name, EvaluationRow.prompt, EvaluationRow.trait)
    )
