"""What is asked of a portfolio, and the answer when no portfolio can do it."""

from __future__ import annotations

from dataclasses import dataclass

from palmfolio_palm.covers.gap_search import BestPortfolio
from palmfolio_palm.validation import check_delta, check_eps, rounded_up


@dataclass(frozen=True)
class Target:
    """What is asked of a portfolio.

    Attributes:
        epsilon: multiplicative gap that is allowed, in [0, 1).
        delta: additive gap that is allowed, ≥ 0.
        max_size: members at most; 0 for as many as needed. With epsilon = delta = 0 and a
            max_size there is no target: the best portfolio of that size is wanted.

    Example:
        >>> Target(epsilon=0.0, delta=0.0, max_size=3).is_best_of_size
        True
    """

    epsilon: float
    delta: float
    max_size: int = 0

    def __post_init__(self) -> None:
        check_eps(self.epsilon, "epsilon")
        check_delta(self.delta)
        if self.max_size < 0:
            raise ValueError(f"max_size must be a number ≥ 0, got {self.max_size}")

    @property
    def is_best_of_size(self) -> bool:
        """Whether only the size is given."""
        return self.max_size > 0 and self.epsilon == 0 and self.delta == 0


class TargetInfeasible(Exception):
    """No portfolio of the allowed size meets the target.

    Attributes:
        weights: (d,) the weights that the best portfolio of that size serves worst.
        gap: its gap there.
        size: members that were allowed.
        proven: whether every portfolio of that size is known to miss the target, not only those
            that were found in time.

    Example:
        >>> from palmfolio_palm import select
        >>> try:
        ...     select([[1, 0], [0, 1]], Target(0.0, 0.1, max_size=1), seconds=5)
        ... except TargetInfeasible as error:
        ...     print(error)
        no portfolio of 1 policies meets the target; the best reaches a gap of 1
    """

    def __init__(self, best: BestPortfolio, size: int, *, proven: bool) -> None:
        self.weights = best.certificate.worst_weights_additive
        self.gap = best.gap
        self.size = size
        self.proven = proven
        subject = "no portfolio" if proven else "no portfolio that was found in time"
        super().__init__(
            f"{subject} of {size} policies meets the target; "
            f"the best reaches a gap of {rounded_up(best.gap)}"
        )
