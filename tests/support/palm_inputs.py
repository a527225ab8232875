"""Fronts and hypothesis strategies for palm's tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sphere(n: int, d: int, seed: int = 0) -> Floats:
    """Uniform points of the unit sphere's positive orthant."""
    x = np.abs(np.random.default_rng(seed).normal(size=(n, d)))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@st.composite
def value_arrays(
    draw: st.DrawFn, max_n: int = 9, max_d: int = 4, *, positive: bool = False
) -> Floats:
    """Values in [0, 1] that are often tied, duplicated, collinear or degenerate."""
    n, d = draw(st.integers(1, max_n)), draw(st.integers(1, max_d))
    kind = draw(st.sampled_from(["real", "coarse", "collinear", "binary", "tiny", "sphere"]))
    low = 0.0625 if positive else 0.0
    if kind == "real":
        V = draw(arrays(np.float64, (n, d), elements=st.floats(low, 1.0, width=32)))
    elif kind == "coarse":
        V = draw(arrays(np.int64, (n, d), elements=st.integers(1 if positive else 0, 4))) / 4.0
    elif kind == "binary":
        V = draw(arrays(np.int64, (n, d), elements=st.integers(0, 1))).astype(float)
        V = np.maximum(V, low)
    elif kind == "collinear":
        ends = draw(arrays(np.float64, (2, d), elements=st.floats(low, 1.0, width=16)))
        t = draw(arrays(np.int64, n, elements=st.integers(0, 6))) / 6.0
        V = np.clip(np.outer(t, ends[0]) + np.outer(1 - t, ends[1]), 0.0, 1.0)
    elif kind == "tiny":
        base = draw(arrays(np.int64, (n, d), elements=st.integers(0, 8)))
        V = 0.5 + base * draw(st.sampled_from([1e-3, 1e-6, 1e-9, 1e-12]))
    else:
        V = np.maximum(sphere(n, d, draw(st.integers(0, 10_000))), low)
    repeats = draw(st.integers(0, 3))
    if repeats:
        V = np.concatenate([V, V[draw(arrays(np.int64, repeats, elements=st.integers(0, n - 1)))]])
    return V


@st.composite
def values_and_portfolio(
    draw: st.DrawFn, max_n: int = 9, max_d: int = 4, *, positive: bool = False
) -> tuple[Floats, list[int]]:
    """Values and a non-empty portfolio of their rows."""
    V = draw(value_arrays(max_n, max_d, positive=positive))
    members = draw(st.lists(st.integers(0, len(V) - 1), min_size=1, max_size=6))
    return V, members


epsilons = st.sampled_from([0.0, 0.01, 0.1, 0.35]) | st.floats(0.0, 0.875, width=16)
deltas = st.sampled_from([0.0, 0.01, 0.1]) | st.floats(0.0, 0.5, width=16)


FAMILIES = ("plain", "ulps", "denormal", "faces", "ties", "scaled", "uneven", "collinear")


def awkward_values(number: int) -> tuple[Floats, list[int], float, float]:
    """Values, members, eps and delta on which rounding matters; the number decides them.

    The families take turns: members some ulps apart, denormal entries, points on common faces,
    ties on a coarse grid, all values or single traits at scales from 1e-300 to 1e300, lines.
    """
    rng = np.random.default_rng([2026, number])
    family = FAMILIES[number % len(FAMILIES)]
    d = int(rng.integers(1, 13)) if rng.random() < 0.5 else int(rng.integers(2, 5))
    k, others = int(rng.integers(1, 7)), int(rng.integers(1, 5))
    V = rng.random((k + others, d))
    if rng.random() < 0.3:
        V = np.round(V, 1)
    if family == "ulps":
        V = _ulps_apart(V, rng)
    elif family == "denormal":
        tiny = rng.random(V.shape) < 0.3
        V[tiny] *= 10.0 ** rng.integers(-320, -300, V.shape)[tiny]
    elif family == "faces":
        V[rng.random(V.shape) < 0.4] = 0.0
        V[:, int(rng.integers(d))] = rng.choice([0.0, 0.5, 1.0])
    elif family == "ties":
        V = rng.integers(0, 4, V.shape) / rng.choice([3.0, 4.0, 10.0])
    elif family == "scaled":
        V = V * 10.0 ** rng.uniform(-300, 300)
    elif family == "uneven":
        V = V * 10.0 ** rng.uniform(-rng.choice([6, 20, 300]), 0, d)
    elif family == "collinear":
        t = rng.integers(0, 5, (len(V), 1)) / 4.0
        V = t * V[0] + (1.0 - t) * V[-1]
        if rng.random() < 0.5:
            V = _ulps_apart(V, rng)
    V = V[rng.permutation(len(V))]
    eps = float(rng.choice([0.0, 0.0, 0.05, 0.3]))
    largest = float(np.abs(V).max())
    delta = float(rng.choice([0.0, 0.0, 0.02])) * largest
    members = rng.choice(len(V), size=len(V) - 1 if family == "ulps" else k, replace=False)
    return V, [int(row) for row in members], eps, delta


def _ulps_apart(V: Floats, rng: np.random.Generator) -> Floats:
    """Half of the rows become copies of others that differ in the last bits."""
    for row in rng.choice(len(V), size=len(V) // 2, replace=False):
        other = V[int(rng.integers(len(V)))]
        step = np.asarray(rng.integers(-3, 4, V.shape[1]), dtype=np.float64)
        # One trait up and one down: neither copy dominates the other.
        step[:2] = (1, -1)[: V.shape[1]]
        V[row] = np.clip(other + step * np.spacing(other), 0.0, 1.0)
    return V
