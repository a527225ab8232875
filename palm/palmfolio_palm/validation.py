"""Argument checks: every message names the argument, what was found and what is allowed."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.intp]
Exponents: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

# Slack when a computed gap is compared with its target: far above the rounding of a few matrix
# products of values in [0, 1], far below any reward that is measured.
TOLERANCE = 1e-9


def rounded_up(value: float, digits: int = 6) -> str:
    """A finite number ≥ 0 with a few digits, never below the number itself.

    So a gap that is shown can be given as a delta, and is allowed.

    Raises:
        ValueError: the number is negative or not finite.

    Example:
        >>> rounded_up(0.07322330470336313), rounded_up(0.25)
        ('0.0732234', '0.25')
    """
    if not (np.isfinite(value) and value >= 0.0):
        raise ValueError(f"value must be a finite number ≥ 0, got {value}")
    context = decimal.Context(prec=digits, rounding=decimal.ROUND_CEILING)
    # From the shortest decimals that stand for the number: 0.1 stays 0.1.
    return f"{float(context.create_decimal(repr(float(value)))):.{digits}g}"


class Infeasible(ValueError):
    """No allowed portfolio meets the target.

    Attributes:
        weights: (d,) the weights that cannot be covered, Σ = 1.
        gap: the smallest additive gap max(0, (1 − eps)·U(w) − L(w)) reachable at these weights.
        target: the delta that was asked for.

    Example:
        >>> from palmfolio_palm import min_portfolio
        >>> try:
        ...     min_portfolio([[1, 0], [0, 1]], 0.0, 0.1, allowed=[0])
        ... except Infeasible as error:
        ...     print(error.weights.tolist(), error.gap)
        [0.0, 1.0] 1.0
    """

    def __init__(self, weights: FloatArray, gap: float, target: float) -> None:
        self.weights = weights
        self.gap = gap
        self.target = target
        listed = ", ".join(f"{x:.4g}" for x in weights)
        super().__init__(
            f"no allowed portfolio meets delta = {target:.6g}: at weights ({listed}) the best "
            f"reachable gap is {rounded_up(gap)}; raise epsilon or delta to cover it, or allow "
            "more policies"
        )


def check_values(V: ArrayLike, name: str = "V", *, shifted: bool = False) -> FloatArray:
    """Return value vectors as a C-ordered (n, d) float64 array, n, d ≥ 1.

    Values must be finite and, unless `shifted`, lie in [0, 1].

    Raises:
        ValueError: naming `name`.
    """
    values = _as_float(V, name)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"{name} must be a non-empty (policies, traits) array, got shape {values.shape}"
        )
    _check_finite(values, name)
    if not shifted and (values.min() < 0.0 or values.max() > 1.0):
        row, column = np.argwhere((values < 0.0) | (values > 1.0))[0]
        raise ValueError(
            f"{name} must lie in [0, 1]: {name}[{row}, {column}] is {values[row, column]:.6g}; "
            "normalise it, or declare the values shifted"
        )
    return values


def check_portfolio(P: ArrayLike, n: int, name: str = "P") -> IntArray:
    """Return the distinct indices of `P` in order of first appearance, each in [0, n).

    Raises:
        ValueError: naming `name`, when it is empty, not integral or out of range.
    """
    raw = np.asarray(P)
    if raw.ndim != 1 or raw.size == 0:
        raise ValueError(f"{name} must be a non-empty list of indices, got shape {raw.shape}")
    if not np.issubdtype(raw.dtype, np.integer):
        raise ValueError(f"{name} must hold integer indices, got dtype {raw.dtype}")
    indices = raw.astype(np.intp)
    outside = indices[(indices < 0) | (indices >= n)]
    if outside.size:
        raise ValueError(f"{name} holds index {outside[0]}, outside [0, {n})")
    _, first = np.unique(indices, return_index=True)
    return indices[np.sort(first)]


def check_weights(w: ArrayLike, d: int, name: str = "w") -> FloatArray:
    """Return one weight vector scaled to Σ = 1.

    Raises:
        ValueError: naming `name`, for a wrong length, negative, non-finite or all-zero entries.
    """
    weights = _as_float(w, name)
    if weights.shape != (d,):
        raise ValueError(f"{name} must have shape ({d},), got {weights.shape}")
    row: FloatArray = check_weight_rows(weights[None, :], d, name)[0]
    return row


def check_weight_rows(W: ArrayLike, d: int, name: str = "W") -> FloatArray:
    """Return (m, d) weight vectors, each scaled to Σ = 1, m ≥ 1.

    Raises:
        ValueError: naming `name`, as `check_weights`.
    """
    weights = _as_float(W, name)
    if weights.ndim != 2 or weights.shape[0] == 0 or weights.shape[1] != d:
        raise ValueError(f"{name} must have shape (m, {d}) with m ≥ 1, got {weights.shape}")
    _check_finite(weights, name)
    if weights.min() < 0.0:
        raise ValueError(f"{name} must not be negative, got {weights.min():.6g}")
    # Scaling by the largest entry first keeps the sum of huge or tiny weights in range.
    largest = weights.max(axis=1, keepdims=True)
    if largest.min() <= 0.0:
        raise ValueError(f"{name} must have a positive entry in every vector, got only zeros")
    scaled = weights / largest
    normalised: FloatArray = scaled / scaled.sum(axis=1, keepdims=True)
    return normalised


def check_eps(eps: float, name: str = "eps") -> float:
    """Return a relative loss in [0, 1), else raise ValueError naming `name`."""
    if not (np.isfinite(eps) and 0.0 <= eps < 1.0):
        raise ValueError(f"{name} must lie in [0, 1), got {eps}")
    return float(eps)


def check_delta(delta: float, name: str = "delta") -> float:
    """Return an additive loss ≥ 0 in units of reward, else raise ValueError naming `name`."""
    if not (np.isfinite(delta) and delta >= 0.0):
        raise ValueError(f"{name} must be a finite number ≥ 0, got {delta}")
    return float(delta)


def check_size(k: int, n: int, name: str = "k") -> int:
    """Return a portfolio size in [1, n], else raise ValueError naming `name`."""
    if int(k) != k or not 1 <= k <= n:
        raise ValueError(f"{name} must be a whole number from 1 to {n} (policies), got {k}")
    return int(k)


def check_dimension(d: int, name: str = "d") -> int:
    """Return a number of traits ≥ 1, else raise ValueError naming `name`."""
    if int(d) != d or d < 1:
        raise ValueError(f"{name} must be a whole number ≥ 1, got {d}")
    return int(d)


def check_positive(value: float, name: str) -> float:
    """Return a finite number > 0, else raise ValueError naming `name`."""
    if not (np.isfinite(value) and value > 0.0):
        raise ValueError(f"{name} must be a finite number > 0, got {value}")
    return float(value)


def check_choice(value: str, allowed: Sequence[str], name: str) -> str:
    """Return `value` when it is one of `allowed`, else raise ValueError naming `name`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    return value


def _as_float(x: ArrayLike, name: str) -> FloatArray:
    try:
        array: FloatArray = np.ascontiguousarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a rectangular array of numbers") from error
    return array


def _check_finite(x: FloatArray, name: str) -> None:
    if not np.isfinite(x).all():
        index = ", ".join(str(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise ValueError(f"{name} must be finite, but {name}[{index}] is NaN or infinite")
