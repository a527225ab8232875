"""The state of a build, read from the database for its plan and its actions."""

from dataclasses import replace
from typing import assert_never

import numpy as np
from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2
from palmfolio_palm import selection
from palmfolio_selector.builds.plan import Facts, Measured, Training
from palmfolio_selector.domain.coverage import Exclusion
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.domain.strategy_kind import strategy_kind
from palmfolio_selector.domain.values import Values
from palmfolio_selector.store import completeness, evaluations, measurement, portfolios
from palmfolio_selector.store import values as stored_values
from palmfolio_selector.store.completeness import Compared
from palmfolio_selector.store.measurement import spec_of
from palmfolio_selector.store.values import PromptRewards


def read(session: Session, portfolio: str) -> Facts:
    """The facts that the plan of a portfolio's build depends on."""
    row = portfolios.get(session, portfolio)
    trainings = tuple(
        Training(row.position, row.initial, row.state, row.policy)
        for row in portfolios.trainings(session, portfolio)
    )
    measured_by = measurement.find(session, row)
    if measured_by is None:
        # Also after an upgrade from a version that stored the keys later: preparing adds them.
        return Facts(False, "", trainings, False, {}, 0, 0)
    policies = [training.policy for training in trainings if training.policy]
    names = list(dict.fromkeys([row.base_policy, *policies]))
    progress = evaluations.progress(session, measured_by, names)
    facts = Facts(
        prepared=True,
        base_policy=row.base_policy,
        trainings=trainings,
        exploring=not row.explored and _may_add_trainings(spec_of(row)),
        measured={
            name: Measured(done.responses, done.rewards, sum(done.failed.values()))
            for name, done in progress.items()
        },
        responses=measured_by.responses,
        traits=len(measured_by.traits),
    )
    if all(map(facts.evaluated, facts.candidates)):
        chosen = _compared(session, measured_by, facts)
        facts = replace(facts, excluded=frozenset(each.policy for each in chosen.coverage.excluded))
    return facts


def _compared(session: Session, measured_by: Measurement, facts: Facts) -> Compared:
    """The comparison of the candidates, each of which is evaluated."""
    partial = [name for name in facts.candidates if facts.of(name).failed]
    complete = [name for name in facts.candidates if not facts.of(name).failed]
    return completeness.compared(session, measured_by, complete, partial)


def _may_add_trainings(spec: portfolios_pb2.PortfolioSpec) -> bool:
    """Whether the strategy may want more than its first trainings."""
    kind = strategy_kind(spec)
    if kind == "explicit":
        return False
    if kind == "grid" or kind == "uniform" or kind == "adaptive":
        return True
    assert_never(kind)


def measurement_of(session: Session, portfolio: str) -> Measurement:
    """How the candidates of a prepared build are measured."""
    measured_by = measurement.find(session, portfolios.get(session, portfolio))
    assert measured_by is not None, "the plan prepares a build before its other actions"
    return measured_by


def values(session: Session, portfolio: str) -> Values:
    """The values of a build's candidates, each of which is evaluated."""
    row = portfolios.get(session, portfolio)
    measured_by = measurement_of(session, portfolio)
    traits = tuple(measured_by.traits)
    facts = read(session, portfolio)
    chosen = _compared(session, measured_by, facts)
    # In the order of the candidates, whichever of them lacks rewards.
    names = tuple(name for name in facts.candidates if name in set(chosen.names))
    if chosen.dropped:
        on_common = stored_values.means_without(session, measured_by, names, chosen.dropped)
        V = np.array([on_common[name] for name in names])
    else:
        means = stored_values.means(session, measured_by, names)
        V = np.array([[means[name][trait].value for trait in traits] for name in names])
    known = portfolios.exclusions(session, portfolio)
    return Values(
        names=names,
        traits=traits,
        V=V.reshape(len(names), len(traits)),
        base=names.index(row.base_policy) if row.base_policy in names else None,
        coverage=replace(chosen.coverage, excluded=known),
    )


def exclusion(session: Session, portfolio: str, policy: str) -> Exclusion | None:
    """Why an evaluated policy is not compared with the others; None when it is."""
    facts = read(session, portfolio)
    if policy not in facts.excluded:
        return None
    chosen = _compared(session, measurement_of(session, portfolio), facts)
    return next(each for each in chosen.coverage.excluded if each.policy == policy)


def rewards_by_prompt(
    session: Session, portfolio: str, names: tuple[str, ...]
) -> PromptRewards | None:
    """Mean rewards of candidates by prompt; None when the candidates are many."""
    if len(names) > selection.MAX_CONFIDENCE_POLICIES:
        return None
    return stored_values.by_prompt(session, measurement_of(session, portfolio), names)
