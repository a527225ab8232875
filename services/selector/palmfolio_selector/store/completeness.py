"""Which prompts are complete for which policies, and the comparison that follows from it.

A prompt is complete for a policy when each of its responses has a reward on every trait. The rule:
docs/missing-rewards.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from palmfolio_palm import compare
from palmfolio_selector.domain.coverage import Coverage, Exclusion
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.store.inserts import BATCH
from palmfolio_selector.store.tables import EvaluationRow, PolicyRow, PromptSetMemberRow


@dataclass(frozen=True)
class Compared:
    """The outcome of a comparison.

    Attributes:
        names: the policies that are compared, in the order given.
        dropped: keys of the prompts that are not complete for all of them.
        coverage: what was left out, in numbers.
    """

    names: tuple[str, ...]
    dropped: tuple[int, ...]
    coverage: Coverage


def compared(
    session: Session, measurement: Measurement, complete: Sequence[str], partial: Sequence[str]
) -> Compared:
    """Compares policies on the prompts that all have.

    Args:
        complete: policies that have every reward.
        partial: policies that lack rewards, each listed once.
    """
    asked = list(session.scalars(_members(measurement)))
    column = {prompt: index for index, prompt in enumerate(asked)}
    has = np.zeros((len(partial) + 1, len(asked)), dtype=np.bool_)
    # All complete policies have the same row: one stands for them.
    has[-1] = bool(complete)
    row = {name: index for index, name in enumerate(partial)}
    for name, prompt in _complete_prompts(session, measurement, partial):
        has[row[name], column[prompt]] = True
    chosen = compare(has)
    kept = {partial[index] for index in chosen.policies if index < len(partial)}
    common = set(chosen.prompts.tolist())
    rewards = _rewards(session, measurement, partial)
    excluded = tuple(
        Exclusion(
            policy=name,
            complete=int(chosen.complete[row[name]]),
            reason=_reason(
                session, measurement, name, int(chosen.complete[row[name]]), chosen.scorable
            ),
        )
        for name in partial
        if name not in kept
    )
    responses = measurement.responses
    missing = {
        trait: sum(responses - rewards.get((name, key), 0) for name in kept)
        for trait, key in measurement.traits.items()
    }
    names = tuple(name for name in (*complete, *partial) if name in kept or name not in row)
    return Compared(
        names=names,
        dropped=tuple(prompt for index, prompt in enumerate(asked) if index not in common),
        coverage=Coverage(
            prompts=len(asked),
            compared=len(common),
            responses=responses * len(names),
            unscored=_unscored(session, measurement, sorted(kept)),
            unscored_by_trait={trait: count for trait, count in missing.items() if count},
            excluded=excluded,
        ),
    )


def _members(measurement: Measurement) -> Select[int]:
    return (
        select(PromptSetMemberRow.prompt)
        .where(PromptSetMemberRow.prompt_set == measurement.prompt_set)
        .group_by(PromptSetMemberRow.prompt)
        .order_by(func.min(PromptSetMemberRow.position))
    )


def _measured(measurement: Measurement, names: Sequence[str]) -> list[ColumnElement[bool]]:
    """The conditions for the rewards of policies under a measurement."""
    members = select(PromptSetMemberRow.prompt).where(
        PromptSetMemberRow.prompt_set == measurement.prompt_set
    )
    return [
        PolicyRow.name.in_(names),
        EvaluationRow.sampling == measurement.sampling,
        EvaluationRow.sample < measurement.samples,
        EvaluationRow.trait.in_(measurement.traits.values()),
        EvaluationRow.prompt.in_(members),
    ]


def _batches(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + BATCH] for start in range(0, len(names), BATCH)]


def _complete_prompts(
    session: Session, measurement: Measurement, names: Sequence[str]
) -> list[tuple[str, int]]:
    """(policy, prompt) of every complete prompt."""
    needed = measurement.samples * len(measurement.traits)
    found: list[tuple[str, int]] = []
    for batch in _batches(names):
        query = (
            select(PolicyRow.name, EvaluationRow.prompt)
            .join(EvaluationRow, EvaluationRow.policy == PolicyRow.key)
            .where(*_measured(measurement, batch))
            .group_by(PolicyRow.name, EvaluationRow.prompt)
            .having(func.count(EvaluationRow.normalised) == needed)
        )
        found += [(name, prompt) for name, prompt in session.execute(query)]
    return found


def _rewards(
    session: Session, measurement: Measurement, names: Sequence[str]
) -> dict[tuple[str, int], int]:
    """Rewards by policy and key of the trait."""
    counts: dict[tuple[str, int], int] = {}
    for batch in _batches(names):
        query = (
            select(PolicyRow.name, EvaluationRow.trait, func.count(EvaluationRow.normalised))
            .join(EvaluationRow, EvaluationRow.policy == PolicyRow.key)
            .where(*_measured(measurement, batch))
            .group_by(PolicyRow.name, EvaluationRow.trait)
        )
        counts |= {(name, trait): count for name, trait, count in session.execute(query)}
    return counts


def _unscored(session: Session, measurement: Measurement, names: Sequence[str]) -> int:
    """Responses of policies without a reward on at least one trait."""
    scored = 0
    for batch in _batches(names):
        rows = (
            select(EvaluationRow.policy, EvaluationRow.prompt, EvaluationRow.sample)
            .join(PolicyRow, PolicyRow.key == EvaluationRow.policy)
            .where(*_measured(measurement, batch))
            .group_by(EvaluationRow.policy, EvaluationRow.prompt, EvaluationRow.sample)
            .having(func.count(EvaluationRow.normalised) == len(measurement.traits))
            .subquery()
        )
        scored += session.scalar(select(func.count()).select_from(rows)) or 0
    return measurement.responses * len(names) - scored


def _reason(
    session: Session, measurement: Measurement, name: str, complete: int, scorable: int
) -> str:
    """Why a policy is not compared: how much it lacks, and what failed most often."""
    failure, trait, count = _worst(session, measurement, name)
    text = f"{complete} of {scorable or measurement.prompts} prompts have every reward"
    if count:
        scored = measurement.responses - count
        text += f"; {trait} scored {scored} of {measurement.responses} responses"
    return text + (f" ({failure})" if failure else "")


def _worst(session: Session, measurement: Measurement, name: str) -> tuple[str, str, int]:
    """The most frequent failure on the trait that lacks most rewards; the trait; what it lacks."""
    rewards = _rewards(session, measurement, [name])
    lacking: Mapping[str, int] = {
        trait: measurement.responses - rewards.get((name, key), 0)
        for trait, key in measurement.traits.items()
    }
    trait = max(lacking, key=lambda each: lacking[each])
    query = (
        select(EvaluationRow.failure)
        .join(PolicyRow, PolicyRow.key == EvaluationRow.policy)
        .where(
            *_measured(measurement, [name]),
            EvaluationRow.trait == measurement.traits[trait],
            EvaluationRow.normalised.is_(None),
        )
        .group_by(EvaluationRow.failure)
        .order_by(func.count().desc(), EvaluationRow.failure)
        .limit(1)
    )
    return session.scalar(query) or "", trait, lacking[trait]
