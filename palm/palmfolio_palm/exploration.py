"""What further training could still gain, and which trainings missed their aim.

After trainings at weights w_i that reached u_i, every trainable value v obeys w_i·v ≤ u_i/(1 − α)
and lies in [0, 1]; so UB(w) = max w·v under these cuts bounds everything trainable, as long as each
training is within the factor 1 − α of the best at its own weights (docs/algorithms.md, section 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.certificates.outer_bound import OuterBound, OuterGap
from palmfolio_palm.certificates.refutations import Refutation, refutations
from palmfolio_palm.validation import TOLERANCE, FloatArray

# A shortfall counts when it is more than this many standard errors of the paired difference. A
# larger number overlooks failed trainings, a smaller one repeats good ones. It is not corrected for
# the number of candidates among which the better one was found.
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True, eq=False)
class Trainings:
    """The trainings of a build that ended, and all candidates there are.

    Attributes:
        W: (m, d) the weights of the trainings, Σ = 1.
        own: (m,) which row of V each training made.
        V: (n, d) values of the candidates, trained or not, in [0, 1].
        alpha: the assumed shortfall of a training at its own weights, in [0, 1).

    Example:
        >>> import numpy as np
        >>> V = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> Trainings(W=np.eye(2), own=[0, 1], V=V, alpha=0.0).alpha
        0.0
    """

    W: FloatArray
    own: Sequence[int]
    V: FloatArray
    alpha: float


def trainable_gap(trainings: Trainings, members: ArrayLike, epsilon: float) -> OuterGap:
    """The largest gap of a portfolio against everything trainable.

    Args:
        trainings: what is known.
        members: (k, d) values of the portfolio.
        epsilon: multiplicative gap that is allowed, in [0, 1).

    Raises:
        ValueError: naming the argument.
        CornersUnavailable: there are too many members over too many traits.

    Example:
        >>> import numpy as np
        >>> V = np.array([[0.5, 0.5]])
        >>> trainings = Trainings(W=np.array([[0.5, 0.5]]), own=[0], V=V, alpha=0.0)
        >>> round(trainable_gap(trainings, V, 0.0).gap, 6)
        0.5
    """
    return _outer_bound(trainings).certified_gap_of(members, eps=epsilon)


def next_weights(
    trainings: Trainings, epsilon: float, delta: float, count: int, tried: FloatArray
) -> FloatArray:
    """Where training may gain most: (count, d) weights, or (0, d) when the target is met.

    Args:
        trainings: what is known.
        epsilon: multiplicative gap that is allowed, in [0, 1).
        delta: additive gap that is allowed, ≥ 0.
        count: weights wanted.
        tried: (t, d) weights that are not to be tried again.

    Raises:
        ValueError: naming the argument.
        CornersUnavailable: there are too many candidates over too many traits.

    Example:
        >>> import numpy as np
        >>> V, W = np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]])
        >>> trainings = Trainings(W=W, own=[0], V=V, alpha=0.0)
        >>> next_weights(trainings, 0.0, 0.1, 1, tried=W).round(2).tolist()
        [[0.92, 0.08]]
    """
    bound = _outer_bound(trainings)
    if bound.certified_gap_of(trainings.V, eps=epsilon).gap <= delta:
        return np.empty((0, trainings.V.shape[1]))
    return bound.next_weights(count, eps=epsilon, target=delta, members=trainings.V, tried=tried)


def refute(trainings: Trainings, X: FloatArray | None) -> list[Refutation]:
    """The trainings that a candidate outdid by more than alpha allows and noise explains.

    Args:
        trainings: what is known.
        X: (n, N, d) rewards by prompt, to tell a difference from noise; None when not known.

    Example:
        >>> import numpy as np
        >>> V = np.array([[0.4, 0.4], [0.8, 0.8]])
        >>> refute(Trainings(W=np.array([[0.5, 0.5]]), own=[0], V=V, alpha=0.0), None)
        [Refutation(training=0, better=1, shortfall=0.5)]
    """
    utility = trainings.W @ trainings.V.T
    alphas = np.full(len(utility), trainings.alpha)
    found = refutations(utility, trainings.own, alphas, TOLERANCE)
    if X is None:
        return found
    return [refutation for refutation in found if not _is_noise(trainings, X, refutation)]


def _is_noise(trainings: Trainings, X: FloatArray, refutation: Refutation) -> bool:
    """Whether the difference is within `_STANDARD_ERRORS` of what alpha allows."""
    w, own = trainings.W[refutation.training], trainings.own[refutation.training]
    difference = ((1.0 - trainings.alpha) * trainings.V[refutation.better] - trainings.V[own]) @ w
    return bool(difference <= _STANDARD_ERRORS * _standard_error(X, refutation.better, own, w))


def _standard_error(X: FloatArray, first: int, second: int, w: FloatArray) -> float:
    """Of the mean difference in utility of two policies on the same prompts."""
    difference = (X[first] - X[second]) @ w
    if len(difference) < 2:
        return 0.0
    return float(difference.std(ddof=1) / np.sqrt(len(difference)))


def _outer_bound(trainings: Trainings) -> OuterBound:
    """The cuts: at each w_i the best that is known there, by whichever policy."""
    bound = OuterBound(trainings.V.shape[1])
    best = (trainings.W @ trainings.V.T).argmax(axis=1)
    for w, row in zip(trainings.W, best, strict=True):
        bound.add(w, trainings.V[row], trainings.alpha)
    return bound
