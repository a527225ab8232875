"""Trainings that another policy outdid at the training's own weights.

Source: docs/algorithms.md, section 5. The bound over everything trainable rests on each training
being within its alpha of the best at its own weights; a refutation proves that one was not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palmfolio_palm.validation import FloatArray


@dataclass(frozen=True)
class Refutation:
    """A training that is certainly worse than the best at its own weights.

    Attributes:
        training: position of the refuted training.
        better: row of the value vectors of the policy that is better at these weights; a good
            policy to start from when the training is repeated.
        shortfall: 1 − w·v / w·v_better, in (0, 1]: the training missed at least this share.

    Example:
        >>> from palmfolio_palm import OuterBound
        >>> bound = OuterBound(2)
        >>> bound.add([0.5, 0.5], [0.4, 0.4])
        >>> bound.add([0.9, 0.1], [0.8, 0.8])
        >>> bound.refute()
        [Refutation(training=0, better=1, shortfall=0.5)]
    """

    training: int
    better: int
    shortfall: float


def refutations(
    utility: FloatArray, own: Sequence[int], alphas: FloatArray, tolerance: float
) -> list[Refutation]:
    """The trainings whose shortfall is above their alpha by more than `tolerance`.

    Args:
        utility: (m, n) w_i·v_p of policy p at the weights of training i.
        own: (m,) which policy each training made.
        alphas: (m,) the shortfall that each training may have.
        tolerance: excess over alpha that is ignored, as a share of the best.
    """
    found = []
    for i, row in enumerate(utility):
        better = int(np.argmax(row))
        best, reached = float(row[better]), float(row[own[i]])
        # Where even the best utility is 0 or less there is no share of it to miss: there, a
        # training that reached less has missed everything.
        shortfall = (best - reached) / best if best > 0.0 else float(best > reached)
        if shortfall > alphas[i] + tolerance:
            found.append(Refutation(i, better, shortfall))
    return found
