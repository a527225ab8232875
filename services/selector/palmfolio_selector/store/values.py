"""The values of policies: the means of their rewards, and their rewards by prompt."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Select,
    Table,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from palmfolio_palm.validation import FloatArray, IntArray
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.store.inserts import BATCH
from palmfolio_selector.store.tables import (
    EvaluationRow,
    MeanRow,
    PolicyRow,
    PromptSetMemberRow,
)

# Means are summed over whole numbers, because their sum does not depend on the order of the rows.
# A reward in [0, 1] is rounded down to a multiple of 2^-53, the step of doubles from 1/2 to 1; the
# multiples are summed in two halves, so that each sum fits into 64 bits.
_STEPS = 2**53
_HALF = 2**26

# Starts the tag of a prompt that was drawn together with others, such as those of one template.
CLUSTER_TAG = "cluster="


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
    session: Session, measurement: Measurement, names: Sequence[str] | None = None
) -> dict[str, dict[str, Mean]]:
    """The values of the policies that have all their rewards, by policy name and trait.

    A read, which writes nothing: it computes the means that `materialise` has not stored. A trait
    that scored none of a policy's responses is left out.

    Args:
        names: the policies wanted, at most a few thousand; None for every one.
    """
    trait_of = {key: name for name, key in measurement.traits.items()}
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    rows = [
        *session.execute(_stored_means(measurement, names)).all(),
        *session.execute(_missing_means(session, measurement, names, is_sqlite)).all(),
    ]
    policies = _names(session, {row[0] for row in rows})
    values: dict[str, dict[str, Mean]] = {name: {} for name in names or ()}
    # In the order in which the policies were stored, whether a mean was stored or computed.
    for policy, trait, mean, count, failed in sorted(rows, key=itemgetter(0)):
        values.setdefault(policies[policy], {})[trait_of[trait]] = Mean(mean, count, failed)
    return values


def means_without(
    session: Session, measurement: Measurement, names: Sequence[str], dropped: Sequence[int]
) -> dict[str, list[float]]:
    """The values of policies over the prompts that are not dropped, by policy name.

    Every policy has all rewards for these prompts.

    Args:
        names: the policies wanted.
        dropped: keys of prompts.
    """
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    column = {key: index for index, key in enumerate(measurement.traits.values())}
    values: dict[str, list[float]] = {name: [math.nan] * len(column) for name in names}
    for start in range(0, len(names), BATCH):
        query = (
            select(PolicyRow.name, EvaluationRow.trait, _mean_reward(is_sqlite))
            .join(EvaluationRow, EvaluationRow.policy == PolicyRow.key)
            # A prompt that the set holds twice counts twice.
            .join(PromptSetMemberRow, PromptSetMemberRow.prompt == EvaluationRow.prompt)
            .where(
                PolicyRow.name.in_(names[start : start + BATCH]),
                EvaluationRow.sampling == measurement.sampling,
                EvaluationRow.sample < measurement.samples,
                EvaluationRow.trait.in_(measurement.traits.values()),
                PromptSetMemberRow.prompt_set == measurement.prompt_set,
                # In the text of the query: a database takes only so many parameters.
                EvaluationRow.prompt.not_in(
                    bindparam("dropped", list(dropped), expanding=True, literal_execute=True)
                ),
            )
            .group_by(PolicyRow.name, EvaluationRow.trait)
        )
        for name, trait, mean in session.execute(query):
            values[name][column[trait]] = mean
    return values


def materialise(
    session: Session, measurement: Measurement, names: Sequence[str] | None = None
) -> None:
    """Stores the means of the policies that have all their rewards, for later reads.

    To be called where rewards are written. The rewards of a response never change, so a stored
    mean never does.

    Args:
        names: the policies concerned; None for every one.
    """
    table = MeanRow.__table__
    assert isinstance(table, Table)
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = sqlite.insert(table) if is_sqlite else postgresql.insert(table)
    missing = _missing_means(session, measurement, names, is_sqlite).add_columns(
        literal(measurement.prompt_set), literal(measurement.sampling), literal(measurement.samples)
    )
    columns = ["policy", "trait", "mean", "count", "failed", "prompt_set", "sampling", "samples"]
    # Another build may store the same means at the same time.
    session.execute(insert.from_select(columns, missing).on_conflict_do_nothing())


def _names(session: Session, keys: Iterable[int]) -> dict[int, str]:
    """The names of policies by key."""
    wanted = sorted(keys)
    names: dict[int, str] = {}
    for start in range(0, len(wanted), BATCH):
        query = select(PolicyRow.key, PolicyRow.name).where(
            PolicyRow.key.in_(wanted[start : start + BATCH])
        )
        names |= dict(session.execute(query).all())
    return names


def _stored_means(
    measurement: Measurement, names: Sequence[str] | None
) -> Select[int, int, float, int, int]:
    """The stored means: policy, trait, mean, rewards in it, responses that failed."""
    query = select(
        MeanRow.policy, MeanRow.trait, MeanRow.mean, MeanRow.count, MeanRow.failed
    ).where(
        MeanRow.trait.in_(measurement.traits.values()),
        MeanRow.prompt_set == measurement.prompt_set,
        MeanRow.sampling == measurement.sampling,
        MeanRow.samples == measurement.samples,
    )
    return query if names is None else query.where(MeanRow.policy.in_(_keys(names)))


def _missing_means(
    session: Session, measurement: Measurement, names: Sequence[str] | None, is_sqlite: bool
) -> Select[int, int, float, int, int]:
    """The means that are not stored, of policies that have all their rewards."""
    positions = session.scalar(
        select(func.count()).where(PromptSetMemberRow.prompt_set == measurement.prompt_set)
    )
    stored = exists().where(
        MeanRow.policy == EvaluationRow.policy,
        MeanRow.trait == EvaluationRow.trait,
        MeanRow.prompt_set == measurement.prompt_set,
        MeanRow.sampling == measurement.sampling,
        MeanRow.samples == measurement.samples,
    )
    rewards = func.count(EvaluationRow.normalised)
    # Joined with the set's members: a prompt that the set holds twice counts twice.
    query = (
        select(
            EvaluationRow.policy,
            EvaluationRow.trait,
            _mean_reward(is_sqlite),
            rewards,
            func.count() - rewards,
        )
        .join(PromptSetMemberRow, PromptSetMemberRow.prompt == EvaluationRow.prompt)
        .where(
            EvaluationRow.sampling == measurement.sampling,
            EvaluationRow.sample < measurement.samples,
            EvaluationRow.trait.in_(measurement.traits.values()),
            PromptSetMemberRow.prompt_set == measurement.prompt_set,
            ~stored,
        )
        .group_by(EvaluationRow.policy, EvaluationRow.trait)
        .having(and_(func.count() == (positions or 0) * measurement.samples, rewards > 0))
    )
    return query if names is None else query.where(EvaluationRow.policy.in_(_keys(names)))


def _keys(names: Sequence[str]) -> Select[int]:
    return select(PolicyRow.key).where(PolicyRow.name.in_(names))


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


@dataclass(frozen=True, eq=False)
class PromptRewards:
    """Rewards by prompt.

    Attributes:
        X: (n, N, d) mean rewards of policies on the prompts that are complete for each of them, in
            the order of the prompts' first position in the set.
        clusters: (N,) number of the cluster of each prompt; None when none of them has one.
    """

    X: FloatArray
    clusters: IntArray | None


def by_prompt(session: Session, measurement: Measurement, names: Sequence[str]) -> PromptRewards:
    """Mean rewards of policies on the prompts that are complete for each of them."""
    rows = {name: index for index, name in enumerate(names)}
    columns = {key: index for index, key in enumerate(measurement.traits.values())}
    positions = {
        prompt: index
        for index, prompt in enumerate(
            session.scalars(
                select(PromptSetMemberRow.prompt)
                .where(PromptSetMemberRow.prompt_set == measurement.prompt_set)
                .group_by(PromptSetMemberRow.prompt)
                .order_by(func.min(PromptSetMemberRow.position))
            )
        )
    }
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    X = np.full((len(names), len(positions), len(columns)), np.nan)
    for start in range(0, len(names), BATCH):
        for name, prompt, trait, mean in session.execute(
            _prompt_means(measurement, names[start : start + BATCH], is_sqlite)
        ):
            if mean is not None:
                X[rows[name], positions[prompt], columns[trait]] = mean
    kept = ~np.isnan(X).any(axis=(0, 2))
    labels = _clusters(session, measurement.prompt_set, list(positions))
    return PromptRewards(X[:, kept, :], None if labels is None else labels[kept])


def _clusters(session: Session, prompt_set: str, prompts: Sequence[int]) -> IntArray | None:
    """The cluster of each prompt by its tag `cluster=NAME`; a prompt without one is its own."""
    named: dict[int, str] = {}
    for prompt, tags in session.execute(
        select(PromptSetMemberRow.prompt, PromptSetMemberRow.tags).where(
            PromptSetMemberRow.prompt_set == prompt_set
        )
    ):
        for tag in tags or ():
            if tag.startswith(CLUSTER_TAG):
                named.setdefault(prompt, tag)
    if not named:
        return None
    numbers: dict[str | int, int] = {}
    labels = [numbers.setdefault(named.get(prompt, prompt), len(numbers)) for prompt in prompts]
    return np.array(labels, dtype=np.intp)


def _prompt_means(
    measurement: Measurement, names: Sequence[str], is_sqlite: bool
) -> Select[str, int, int, float]:
    members = select(PromptSetMemberRow.prompt).where(
        PromptSetMemberRow.prompt_set == measurement.prompt_set
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
            EvaluationRow.sampling == measurement.sampling,
            EvaluationRow.sample < measurement.samples,
            EvaluationRow.trait.in_(measurement.traits.values()),
            EvaluationRow.prompt.in_(members),
        )
        .group_by(PolicyRow.name, EvaluationRow.prompt, EvaluationRow.trait)
        # A prompt of which a response lacks a reward is not complete.
        .having(func.count(EvaluationRow.normalised) == measurement.samples)
    )
