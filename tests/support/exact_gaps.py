"""Gaps in exact rational arithmetic: an oracle that shares no code and no rounding with palm.

Both gaps against one candidate are values of matrix games. A mixture of the members bounds such a
value from above, whatever solver proposed it; where no proposal is good enough, the game is solved
by the simplex method in fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog

from tests.support.palm_inputs import Floats

Row = list[Fraction]


def exact(values: Floats) -> list[Row]:
    """Every float as the fraction that it is."""
    return [[Fraction(float(x)) for x in row] for row in values]


def game_value(payoff: Sequence[Row]) -> Fraction:
    """Value of the game in which the rows' player maximises and the columns' player minimises."""
    least = min(min(row) for row in payoff)
    shift = 1 - least
    # Columns' player: max Σx subject to (payoff + shift)·x ≤ 1, x ≥ 0; the value is 1/Σx − shift.
    m, n = len(payoff), len(payoff[0])
    table = [
        [a + shift for a in row] + [Fraction(i == j) for j in range(m)] + [Fraction(1)]
        for i, row in enumerate(payoff)
    ]
    cost = [Fraction(-1)] * n + [Fraction(0)] * (m + 1)
    basis = list(range(n, n + m))
    while True:
        # Bland's rule: it never cycles.
        enter = next((j for j in range(n + m) if cost[j] < 0), None)
        if enter is None:
            return 1 / cost[-1] - shift
        ratios = [
            (row[-1] / row[enter], basis[i], i) for i, row in enumerate(table) if row[enter] > 0
        ]
        leave = min(ratios)[2]
        pivot = table[leave][enter]
        table[leave] = [x / pivot for x in table[leave]]
        for i, row in enumerate(table):
            if i != leave and row[enter]:
                factor = row[enter]
                table[i] = [x - factor * y for x, y in zip(row, table[leave], strict=True)]
        factor = cost[enter]
        cost = [x - factor * y for x, y in zip(cost, table[leave], strict=True)]
        basis[leave] = enter


def _scaled(payoff: Sequence[Row]) -> Floats:
    """The payoff as floats whose largest is 1; what is too small becomes 0."""
    largest = max((abs(a) for row in payoff for a in row), default=Fraction(0)) or Fraction(1)
    return np.array([[float(a / largest) for a in row] for row in payoff])


def _mixture(payoff: Sequence[Row]) -> Row | None:
    """A good mixture of the columns, by a solver in floats; None when it fails."""
    table = _scaled(payoff)
    m, n = table.shape
    solution = linprog(
        np.append(np.zeros(n), 1.0),
        A_ub=np.column_stack([table, -np.ones(m)]),
        b_ub=np.zeros(m),
        A_eq=np.append(np.ones(n), 0.0)[None, :],
        b_eq=[1.0],
        bounds=[(0.0, None)] * n + [(None, None)],
        method="highs",
    )
    if solution.x is None:
        return None
    shares = [Fraction(max(0.0, float(x))) for x in solution.x[:n]]
    total = sum(shares)
    return [share / total for share in shares] if total else None


def _against(payoff: Sequence[Row], mixture: Row) -> Fraction:
    """What the rows' player can reach at most against a mixture."""
    return max(
        sum((a * x for a, x in zip(row, mixture, strict=True)), Fraction(0)) for row in payoff
    )


def _value_above(payoff: Sequence[Row], allowed: Fraction, mixtures: list[Row]) -> Fraction | None:
    """The game's value where it is above `allowed`, else None; learns mixtures on the way."""
    if any(_against(payoff, mixture) <= allowed for mixture in mixtures):
        return None
    mixture = _mixture(payoff)
    if mixture is not None:
        mixtures.append(mixture)
        if _against(payoff, mixture) <= allowed:
            return None
    value = game_value(payoff)
    return value if value > allowed else None


def additive_above(V: Floats, P: Sequence[int], eps: float, allowed: Fraction) -> Fraction | None:
    """An additive gap against some candidate that is above `allowed`, or None if there is none."""
    rows, keep = exact(V), 1 - Fraction(eps)
    members = [rows[p] for p in P]
    mixtures: list[Row] = [[Fraction(j == p) for j in range(len(P))] for p in range(len(P))]
    for c in rows:
        payoff = [[keep * c[i] - v[i] for v in members] for i in range(len(c))]
        value = _value_above(payoff, allowed, mixtures)
        if value is not None:
            return value
    return None


def multiplicative_above(
    V: Floats, P: Sequence[int], delta: float, allowed: Fraction
) -> Fraction | None:
    """As `additive_above` for the multiplicative gap; expects values ≥ 0."""
    rows, loss = exact(V), Fraction(delta)
    members = [rows[p] for p in P]
    mixtures: list[Row] = [[Fraction(j == p) for j in range(len(P))] for p in range(len(P))]
    for c in rows:
        # 1 − (v + delta)/c on the traits where the candidate has anything to offer.
        payoff = [[1 - (v[i] + loss) / c[i] for v in members] for i in range(len(c)) if c[i] > 0]
        value = _value_above(payoff, allowed, mixtures) if payoff else None
        if value is not None:
            return value
    return None
