"""Which member of a portfolio serves a user best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.validation import check_portfolio, check_values, check_weights


@dataclass(frozen=True)
class Route:
    """The member that serves one user.

    Attributes:
        index: row of the member.
        utility: w·v of the member.
        gap: what the best candidate would give more, ≥ 0.

    Example:
        >>> route([[1, 0], [0, 1], [0.75, 0.75]], [0, 1], [0.5, 0.5])
        Route(index=0, utility=0.5, gap=0.25)
    """

    index: int
    utility: float
    gap: float


def route(V: ArrayLike, members: ArrayLike, w: ArrayLike) -> Route:
    """The member with the largest w·v; of equal members the first in `members`.

    Args:
        V: (n, d) values of the candidates; any finite values.
        members: (k,) rows of the portfolio's members.
        w: (d,) the user's weights, scaled to Σ = 1.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> route([[1, 0], [0, 1]], [0, 1], [0.2, 0.8]).index
        1
    """
    values = check_values(V, shifted=True)
    rows = check_portfolio(members, len(values), "members")
    utility = values @ check_weights(w, values.shape[1])
    index = int(rows[np.argmax(utility[rows])])
    reached = float(utility[index])
    return Route(index, reached, max(0.0, float(utility.max()) - reached))
