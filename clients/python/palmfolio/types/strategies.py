"""How a build chooses the weights to train at: four strategies, of which a spec has one."""

from collections.abc import Mapping
from dataclasses import dataclass

from palmfolio.types.trainer import GrpoConfig
from palmfolio.types.weights import Weights


@dataclass(frozen=True, slots=True)
class ExplicitTraining:
    """One training of an `ExplicitStrategy`.

    Example:
        >>> first = ExplicitTraining({"brevity": 1, "warmth": 1})
        >>> second = ExplicitTraining({"brevity": 3, "warmth": 1}, initial_training=1)
    """

    weights: Weights
    initial_training: int | None = None
    """Position, counted from 1, of the earlier training whose policy this one starts from; None
    starts from the base model."""
    grpo: GrpoConfig | None = None
    """Overrides of the spec's settings; None overrides nothing."""


@dataclass(frozen=True, slots=True)
class ExplicitStrategy:
    """Train at these weights and no others.

    Example:
        >>> ends = ({"brevity": 1.0}, {"warmth": 1.0})
        >>> strategy = ExplicitStrategy(tuple(ExplicitTraining(weights) for weights in ends))
    """

    trainings: tuple[ExplicitTraining, ...]


@dataclass(frozen=True, slots=True)
class GridStrategy:
    """Train at every point of PALM's geometric grid for the spec's epsilon and delta, both > 0.

    docs/algorithms.md, section 1, has the grid and its guarantee.

    Example:
        >>> strategy = GridStrategy()
    """


@dataclass(frozen=True, slots=True)
class UniformStrategy:
    """Train at every point of a uniform lattice over the weights.

    Example:
        >>> strategy = UniformStrategy(resolution=4)  # weights in steps of 1/4
    """

    resolution: int | None = None
    """Steps from 0 to 1 on each trait, 1 to 1,000; None takes the fewest that guarantee the spec's
    delta, which must then be > 0."""


@dataclass(frozen=True, slots=True)
class AdaptiveStrategy:
    """Train where most may be gained, until nothing more can be gained or `max_trainings` is
    reached.

    Example:
        >>> strategy = AdaptiveStrategy(parallel=4)  # for a trainer with four devices
    """

    parallel: int | None = None
    """Trainings to ask for at a time, 1 to 64; None asks for one at a time."""


Strategy = ExplicitStrategy | GridStrategy | UniformStrategy | AdaptiveStrategy
"""How the weights to train at are chosen."""

STRATEGIES: Mapping[str, type] = {
    "explicit": ExplicitStrategy,
    "grid": GridStrategy,
    "uniform": UniformStrategy,
    "adaptive": AdaptiveStrategy,
}
"""The strategies by the names that the protocol and portfolio files use."""
