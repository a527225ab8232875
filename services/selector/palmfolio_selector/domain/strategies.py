"""The weights that a strategy trains at, and the guarantee that they give beforehand."""

import math
from dataclasses import dataclass
from typing import Literal, assert_never

from palmfolio.v1 import errors_pb2, portfolios_pb2, types_pb2
from palmfolio_palm import (
    grid_size,
    grid_weights,
    lattice_resolution,
    starting_weights,
    uniform_lattice,
)
from palmfolio_palm.validation import FloatArray
from palmfolio_runtime.errors import failed_precondition
from palmfolio_runtime.limits import SelectorLimits
from palmfolio_runtime.weights import canonical_weights
from palmfolio_selector.domain.strategy_kind import strategy_kind

# Probability with which the error from finitely many prompts may exceed its bound.
_RISK = 0.05


@dataclass(frozen=True)
class Guarantee:
    """L(w) >= (1 - epsilon) U(w) - delta for every w, if policies are optimal at their weights."""

    epsilon: float
    delta: float


def max_trainings(spec: portfolios_pb2.PortfolioSpec, limits: SelectorLimits) -> int:
    """The number of trainings that a build may start."""
    return min(spec.max_trainings or limits.max_trainings, limits.max_trainings)


def count(spec: portfolios_pb2.PortfolioSpec, limits: SelectorLimits) -> int:
    """Trainings that a checked spec's strategy wants; of `adaptive`, at most."""
    d = len(spec.traits)
    kind = strategy_kind(spec)
    if kind == "explicit":
        return len(spec.strategy.explicit.trainings)
    if kind == "grid":
        return grid_size(d, spec.epsilon, spec.delta)
    if kind == "uniform":
        return math.comb(resolution(spec) + d - 1, d - 1)
    if kind == "adaptive":
        return max_trainings(spec, limits)
    assert_never(kind)


def check_budget(spec: portfolios_pb2.PortfolioSpec, limits: SelectorLimits) -> None:
    """Refuses a strategy that wants more trainings than are allowed.

    Raises:
        ServiceError: FAILED_PRECONDITION (TOO_MANY_TRAININGS) when the strategy wants more
            trainings than are allowed.
    """
    wanted, most = count(spec, limits), max_trainings(spec, limits)
    if wanted > most:
        kind = strategy_kind(spec)
        raise failed_precondition(
            errors_pb2.ERROR_REASON_TOO_MANY_TRAININGS,
            f"the {kind} strategy wants {wanted} trainings and {most} are allowed: raise "
            "max_trainings, epsilon or delta, or train at fewer weights",
            wanted=str(wanted),
            allowed=str(most),
        )


def resolution(spec: portfolios_pb2.PortfolioSpec) -> int:
    """The resolution of the `uniform` strategy."""
    return spec.strategy.uniform.resolution or lattice_resolution(len(spec.traits), spec.delta)


def first_trainings(
    spec: portfolios_pb2.PortfolioSpec, most: int
) -> list[portfolios_pb2.ExplicitTraining]:
    """The first `most` trainings that a canonical spec wants before any is evaluated.

    Each with its full settings.
    """
    kind = strategy_kind(spec)
    if kind == "explicit":
        wanted = list(spec.strategy.explicit.trainings)
    else:
        rows = _first_weights(spec, kind)
        wanted = [training_at(spec, row) for row in rows[:most]]
    return [with_settings(spec, training) for training in wanted[:most]]


def _first_weights(
    spec: portfolios_pb2.PortfolioSpec, kind: Literal["grid", "uniform", "adaptive"]
) -> FloatArray:
    d = len(spec.traits)
    if kind == "grid":
        return grid_weights(d, spec.epsilon, spec.delta)
    if kind == "uniform":
        return uniform_lattice(d, resolution(spec))
    if kind == "adaptive":
        return starting_weights(d, spec.delta)
    assert_never(kind)


def training_at(
    spec: portfolios_pb2.PortfolioSpec, row: FloatArray
) -> portfolios_pb2.ExplicitTraining:
    """A training at weights in the order of the spec's traits."""
    values = canonical_weights(dict(zip(spec.traits, map(float, row), strict=True)))
    return portfolios_pb2.ExplicitTraining(weights=types_pb2.Weights(values=values))


def with_settings(
    spec: portfolios_pb2.PortfolioSpec, training: portfolios_pb2.ExplicitTraining
) -> portfolios_pb2.ExplicitTraining:
    """The training with the spec's settings where it has none of its own."""
    full = portfolios_pb2.ExplicitTraining(
        weights=training.weights, initial_training=training.initial_training, grpo=spec.grpo
    )
    # Overwrites only the fields that the training sets.
    full.grpo.MergeFrom(training.grpo)
    return full


def guarantee(spec: portfolios_pb2.PortfolioSpec) -> Guarantee | None:
    """The guarantee of the trained policies together; None for strategies without one."""
    d = len(spec.traits)
    kind = strategy_kind(spec)
    if kind == "grid":
        return Guarantee(spec.epsilon, spec.delta)
    if kind == "uniform":
        # Half the largest distance between neighbours, in the 1-norm (palm.lattice_resolution).
        radius = 2.0 * (d // 2) * ((d + 1) // 2) / d
        return Guarantee(0.0, min(1.0, radius / resolution(spec)))
    if kind == "adaptive" or kind == "explicit":
        return None
    assert_never(kind)


def planned(
    spec: portfolios_pb2.PortfolioSpec, prompts: int
) -> portfolios_pb2.PlannedGuarantee | None:
    """The guarantee of a build before it starts (docs/algorithms.md, section 2).

    Args:
        prompts: different evaluation prompts.
    """
    trained = guarantee(spec)
    if trained is None:
        return None
    d = len(spec.traits)
    # What is kept multiplies: by the grid, by the selection, and by imperfect training.
    kept = (1.0 - trained.epsilon) * (1.0 - spec.epsilon) * (1.0 - spec.alpha)
    candidates = (
        math.comb(resolution(spec) + d - 1, d - 1)
        if strategy_kind(spec) == "uniform"
        else grid_size(d, spec.epsilon, spec.delta)
    )
    # Hoeffding's bound on the means over the prompts, for every candidate and trait at once.
    eta = math.sqrt(math.log(2.0 * (candidates + 1) * d / _RISK) / (2.0 * prompts))
    return portfolios_pb2.PlannedGuarantee(
        epsilon=1.0 - kept,
        delta=(1.0 - spec.epsilon) * trained.delta + spec.delta,
        prompt_error=(2.0 - spec.epsilon) * eta,
    )
