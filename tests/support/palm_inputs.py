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
