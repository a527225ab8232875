"""The action that decides whether the strategy wants further trainings, and at which weights."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2, trainer_pb2, types_pb2
from palmfolio_palm import CornersUnavailable, Refutation, Trainings, exploration
from palmfolio_palm.validation import FloatArray
from palmfolio_selector.builds import state
from palmfolio_selector.builds.context import BuildContext
from palmfolio_selector.builds.events import EventDraft
from palmfolio_selector.domain import strategies
from palmfolio_selector.domain.strategy_kind import strategy_kind
from palmfolio_selector.domain.values import Values
from palmfolio_selector.store import portfolios
from palmfolio_selector.store.tables import TrainingRow, TrainingState
from palmfolio_selector.store.values import PromptRewards

# Added to the seed of a training that is repeated from the base model: with the same seed, the
# trainer would answer with the policy that it has, because policies are addressed by their spec.
_OTHER_SEED = 1_000_003


@dataclass(frozen=True, eq=False)
class TrainingResults:
    """The trainings of a build so far, and the values that their policies reached.

    Attributes:
        values: of every candidate.
        rows: trainings that have a policy; of those at the same weights only the best.
        trained: the same as arrays.
        rewards: by prompt; None when the candidates are too many to read them.
        prompts: N, different prompts behind the values.
        tried: (t, d) weights of every training, failed ones too.
        count: trainings so far, failed ones too.
    """

    values: Values
    rows: tuple[TrainingRow, ...]
    trained: Trainings
    rewards: PromptRewards | None
    prompts: int
    tried: FloatArray
    count: int

    @property
    def regularised(self) -> bool:
        """Whether a training was held back by a KL penalty.

        It then maximised w·v − β·KL: its policy may be far from the best at its weights, and its
        value bounds nothing (docs/algorithms.md, section 5).
        """
        settings = (trainer_pb2.GrpoConfig.FromString(row.grpo) for row in self.rows)
        return any(grpo.kl_coefficient > 0.0 for grpo in settings)

    @property
    def refutations(self) -> list[Refutation]:
        """The trainings that missed their aim."""
        X = None if self.rewards is None else self.rewards.X
        return exploration.refute(self.trained, X)


async def explore(context: BuildContext) -> None:
    """Notes the next trainings, or that no more are wanted."""
    results = await context.read(read, context)
    if results is None:
        wanted: list[TrainingRow] = []
        message = "no training has a policy"
    else:
        loop = asyncio.get_running_loop()
        wanted, message = await loop.run_in_executor(
            context.server.mathematics, _next, context, results
        )
    await context.commit(_store, context, wanted, message)


def _store(
    session: Session, context: BuildContext, wanted: list[TrainingRow], message: str
) -> None:
    session.add_all(wanted)
    portfolios.get(session, context.portfolio).explored = not wanted
    context.append(session, EventDraft(portfolios_pb2.BUILD_STAGE_SELECTING, message))


def read(session: Session, context: BuildContext) -> TrainingResults | None:
    """The trainings so far; None when none has a policy."""
    values = state.values(session, context.portfolio)
    every = portfolios.trainings(session, context.portfolio)
    position = {name: index for index, name in enumerate(values.names)}
    ready = [row for row in every if row.state is TrainingState.READY and row.policy in position]
    if not ready:
        return None
    # Of trainings at the same weights only the best counts: a repetition repairs the first.
    best: dict[tuple[float, ...], TrainingRow] = {}
    for row in ready:
        key = tuple(_weights(row.weights, values.traits))
        utility = float(values.V[position[row.policy]] @ key)
        if key not in best or utility > values.V[position[best[key].policy]] @ key:
            best[key] = row
    rows = tuple(best.values())
    return TrainingResults(
        values=values,
        rows=rows,
        trained=Trainings(
            W=np.array(list(best)),
            own=[position[row.policy] for row in rows],
            V=values.V,
            alpha=context.spec.alpha,
        ),
        rewards=state.rewards_by_prompt(session, context.portfolio, values.names),
        prompts=values.coverage.compared if values.coverage else 0,
        tried=np.array([_weights(row.weights, values.traits) for row in every]),
        count=len(every),
    )


def _weights(weights: Mapping[str, float], traits: Sequence[str]) -> list[float]:
    return [weights.get(trait, 0.0) for trait in traits]


def _next(context: BuildContext, results: TrainingResults) -> tuple[list[TrainingRow], str]:
    """The trainings to add, none when the strategy wants no more, and the reason as a message."""
    spec = context.spec
    left = strategies.max_trainings(spec, context.server.config.limits) - results.count
    # First, because a training that missed its aim refutes the assumption behind every bound.
    again = _repetitions(context, results)[: max(0, left)]
    if again:
        return again, f"{len(again)} trainings missed their aim and are repeated"
    kind = strategy_kind(spec)
    if kind == "adaptive":
        return _adaptive_next(context, results, left)
    if kind == "grid" or kind == "uniform" or kind == "explicit":
        return [], "every training is evaluated"
    assert_never(kind)


def _adaptive_next(
    context: BuildContext, results: TrainingResults, left: int
) -> tuple[list[TrainingRow], str]:
    """The next trainings of the adaptive strategy, at most `left`, and the reason."""
    spec, trained = context.spec, results.trained
    try:
        gap = exploration.trainable_gap(trained, trained.V, spec.epsilon)
    except CornersUnavailable:
        return [], "there are too many traits and policies to say where training may gain most"
    known = f"the candidates are within {gap.gap:.4g} of everything trainable"
    if results.regularised:
        known = "with a KL penalty, there is no bound on what could be trained"
    if left <= 0:
        return [], f"{known}; the budget of trainings is spent"
    count = min(left, spec.strategy.adaptive.parallel or 1)
    rows = exploration.next_weights(trained, spec.epsilon, spec.delta, count, results.tried)
    if not len(rows):
        met = gap.gap <= spec.delta
        return [], known if met else f"{known}; no further training can lower that"
    wanted = [
        _row(context, results.count + index, strategies.training_at(spec, row))
        for index, row in enumerate(rows, start=1)
    ]
    return wanted, f"{known}; training next at {len(wanted)} weights"


def _repetitions(context: BuildContext, results: TrainingResults) -> list[TrainingRow]:
    """Refuted trainings once more, each started from the policy that refuted it."""
    position_of = {row.policy: row.position for row in results.rows}
    wanted: list[TrainingRow] = []
    for refutation in results.refutations:
        row = results.rows[refutation.training]
        if _was_repeated(results, row):
            continue
        start = position_of.get(results.values.names[refutation.better], 0)
        training = portfolios_pb2.ExplicitTraining(
            weights=types_pb2.Weights(values=row.weights), initial_training=start
        )
        again = _row(context, results.count + len(wanted) + 1, training)
        # The settings of the first training, which may differ from the spec's.
        again.grpo = row.grpo
        again.seed = None if start else context.spec.seed + _OTHER_SEED
        wanted.append(again)
    return wanted


def _was_repeated(results: TrainingResults, row: TrainingRow) -> bool:
    """Whether there were two trainings at these weights already, failed ones included."""
    weights = _weights(row.weights, results.values.traits)
    return int((np.abs(results.tried - weights).max(axis=1) == 0).sum()) > 1


def _row(
    context: BuildContext, position: int, training: portfolios_pb2.ExplicitTraining
) -> TrainingRow:
    full = strategies.with_settings(context.spec, training)
    return TrainingRow(
        portfolio=context.portfolio,
        position=position,
        weights=dict(full.weights.values),
        initial=full.initial_training,
        grpo=full.grpo.SerializeToString(deterministic=True),
        state=TrainingState.WANTED,
        operation="",
        last_event=0,
        policy="",
    )


def trainable_bound(
    context: BuildContext, results: TrainingResults, members: FloatArray
) -> portfolios_pb2.TrainableBound | None:
    """How far a portfolio is from everything that could be trained.

    None when there are too many traits and policies to say, or a KL penalty voids the bound.
    """
    if results.regularised:
        return None
    spec, values = context.spec, results.values
    try:
        gap = exploration.trainable_gap(results.trained, members, spec.epsilon)
        everyone = exploration.trainable_gap(results.trained, values.V, spec.epsilon)
    except CornersUnavailable:
        return None
    traits = values.traits
    return portfolios_pb2.TrainableBound(
        gap=gap.gap,
        worst_weights=types_pb2.Weights(
            values=dict(zip(traits, map(float, gap.worst_weights), strict=True))
        ),
        alpha=spec.alpha,
        trainings=len(results.rows),
        target_met=gap.gap <= spec.delta,
        candidates_gap=everyone.gap,
        refutations=[
            portfolios_pb2.Refutation(
                policy=results.rows[refutation.training].policy,
                better_policy=values.names[refutation.better],
                weights=types_pb2.Weights(values=results.rows[refutation.training].weights),
                shortfall=refutation.shortfall,
            )
            for refutation in results.refutations
        ],
    )
