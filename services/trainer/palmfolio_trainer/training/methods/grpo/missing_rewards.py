"""Completions without a reward: they take no part in an update, and steps without any are few.

The rule, with an example in numbers: docs/missing-rewards.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from palmfolio_runtime.prompts import says_nothing
from palmfolio_trainer.training.task import RewardError

MAX_STEPS_WITHOUT_REWARDS = 10
"""Steps in a row in which no completion has every reward, although some say something: after them
a training fails, because a trait does not work on what this policy writes."""


@dataclass(frozen=True)
class UsableRewards:
    """The rewards of a step that its update can use.

    Attributes:
        values: (n, d), without NaN. A completion that lacks a reward has the mean of its group's
            others, so that it changes no group's mean.
        scored: (n,) whether a completion has a reward on every trait that weighs.
    """

    values: npt.NDArray[np.float64]
    scored: npt.NDArray[np.bool_]


def usable_rewards(
    rewards: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], group: int
) -> UsableRewards:
    """Takes the completions that lack a reward out of their groups' means.

    Args:
        rewards: (n, d), NaN where missing.
        weights: (d,) >= 0; a reward on a trait that weighs 0 is not needed.
        group: completions of each prompt, which follow one another.

    Example:
        >>> missing = float("nan")
        >>> rewards = np.array([[0.2], [missing], [0.6], [1.0]])
        >>> usable = usable_rewards(rewards, np.array([1.0]), group=4)
        >>> usable.values.ravel().round(9).tolist(), usable.scored.tolist()
        ([0.2, 0.6, 0.6, 1.0], [True, False, True, True])
    """
    scored = np.array(np.isfinite(rewards[:, weights > 0]).all(axis=1), dtype=np.bool_)
    values = np.where(np.isfinite(rewards), rewards, 0.0)
    for start in range(0, len(values), group):
        own = slice(start, start + group)
        if scored[own].any():
            values[own][~scored[own]] = values[own][scored[own]].mean(axis=0)
        else:
            values[own] = 0.0
    return UsableRewards(values, scored)


class MissingRewards:
    """Counts the completions of a training that lack rewards."""

    def __init__(self, traits: Sequence[str]) -> None:
        self._traits = tuple(traits)
        self._steps = 0
        self.completions = 0
        """So far."""
        self.unscored = 0
        """Of these, without a reward on a trait that weighs."""
        self.empty = 0
        """Of these, saying nothing."""

    def count(
        self, texts: Sequence[str], rewards: npt.NDArray[np.float64], scored: npt.NDArray[np.bool_]
    ) -> None:
        """Counts a step.

        Empty completions never fail a training, however many there are: a policy may learn to
        say nothing, and is then left out when policies are compared.

        Raises:
            RewardError: no completion had every reward in too many steps in a row.
        """
        empty = sum(map(says_nothing, texts))
        self.completions += len(texts)
        self.unscored += int((~scored).sum())
        self.empty += empty
        without = not scored.any() and empty < len(texts)
        self._steps = self._steps + 1 if without else 0
        if self._steps >= MAX_STEPS_WITHOUT_REWARDS:
            missing = np.isnan(rewards).sum(axis=0)
            worst = int(missing.argmax())
            raise RewardError(
                f"in {self._steps} steps in a row no completion had a reward on every trait; in "
                f"the last one {self._traits[worst]} had none for {missing[worst]} of "
                f"{len(texts)}. The training's events say why: allow longer completions, or train "
                "on a trait that can judge them"
            )
