"""What further training could still gain, and which trainings missed their aim: pure mathematics.

After trainings at weights w_i that reached u_i, every trainable value v obeys w_i·v <= u_i/(1 - a)
and lies in [0, 1]; so B(w) = max w·v under these cuts bounds everything trainable, as long as each
training is within the factor 1 - a of the best at its own weights (docs/algorithms.md section 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palmfolio_palm.certificates.outer_bound import OuterBound
from palmfolio_palm.validation import TOLERANCE, FloatArray

# A shortfall counts when it is more than this many standard errors of the paired difference.
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True, eq=False)
class Trained:
    """Trainings that ended, and what there is.

    Attributes:
        W: (m, d) their weights, Σ = 1.
        own: (m,) their rows of V.
        V: (n, d) values of the candidates, in [0, 1].
        alpha: the assumed shortfall of a training at its own weights, in [0, 1).
    """

    W: FloatArray
    own: Sequence[int]
    V: FloatArray
    alpha: float


@dataclass(frozen=True, eq=False)
class Gap:
    """max over w of (1 - epsilon) B(w) - L(w), at least 0, and where it is reached."""

    value: float
    weights: FloatArray


@dataclass(frozen=True)
class Refutation:
    """A training that another policy outdid at the training's own weights.

    Attributes:
        training: position among the trainings.
        better: row of V of the policy that outdid it.
        shortfall: 1 - w·v / w·v_better.
    """

    training: int
    better: int
    shortfall: float


def trainable_gap(trained: Trained, members: FloatArray, epsilon: float) -> Gap:
    """How far a portfolio is from everything trainable.

    Args:
        members: (k, d) values of the portfolio.
        epsilon: multiplicative gap that is allowed, in [0, 1).
    """
    gap = _outer_bound(trained).certified_gap_of(members, eps=epsilon)
    return Gap(gap.gap, gap.worst_weights)


def next_weights(
    trained: Trained, epsilon: float, delta: float, count: int, tried: FloatArray
) -> FloatArray:
    """Where training may gain most: (count, d) weights, or (0, d) when the target is met.

    Args:
        epsilon: multiplicative gap that is allowed.
        delta: additive gap that is allowed.
        count: weights wanted.
        tried: (t, d) weights that are not to be tried again.
    """
    bound = _outer_bound(trained)
    if bound.certified_gap_of(trained.V, eps=epsilon).gap <= delta:
        return np.empty((0, trained.V.shape[1]))
    return bound.next_weights(count, eps=epsilon, target=delta, members=trained.V, tried=tried)


def refute(trained: Trained, X: FloatArray | None) -> list[Refutation]:
    """The trainings that a candidate outdid by more than alpha allows and noise explains.

    Args:
        X: (n, N, d) rewards by prompt, to tell a difference from noise; None when not known.
    """
    utilities = trained.W @ trained.V.T
    found: list[Refutation] = []
    for position, (w, own) in enumerate(zip(trained.W, trained.own, strict=True)):
        better = int(np.argmax(utilities[position]))
        best, reached = float(utilities[position, better]), float(utilities[position, own])
        margin = 0.0 if X is None else _STANDARD_ERRORS * _standard_error(X, better, own, w)
        if reached < (1.0 - trained.alpha) * best - max(margin, TOLERANCE):
            found.append(Refutation(position, better, 1.0 - reached / best))
    return found


def _standard_error(X: FloatArray, one: int, other: int, w: FloatArray) -> float:
    difference = (X[one] - X[other]) @ w
    if len(difference) < 2:
        return 0.0
    return float(difference.std(ddof=1) / np.sqrt(len(difference)))


def _outer_bound(trained: Trained) -> OuterBound:
    """The cuts: at each w_i the best that is known there, by whichever policy."""
    bound = OuterBound(trained.V.shape[1])
    best = (trained.W @ trained.V.T).argmax(axis=1)
    for w, row in zip(trained.W, best, strict=True):
        bound.add(w, trained.V[row], trained.alpha)
    return bound
