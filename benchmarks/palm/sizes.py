"""(a) Portfolio size against greedy cover, uniform and random choice, at the same certified gap.

Every row is one run on one front. `--proofs` adds the instances whose minimum takes longer to
prove; `--select` the 2,000 × 6 instances at default settings.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from fronts import Floats, clustered, crowded, power, sphere

from palmfolio_palm import certificate, greedy_cover, min_portfolio, uniform_lattice

SHORT = [
    ("sphere 100x3", sphere(100, 3), 0.05, 0.0),
    ("sphere 100x4", sphere(100, 4), 0.1, 0.0),
    ("clustered 2000x4", clustered(2000, 4), 0.0, 0.03),
    ("sphere 500x3", sphere(500, 3), 0.05, 0.0),
]
PROOFS = [
    ("power 200x4", power(200, 4), 0.03, 0.0),
    ("sphere 100x6", sphere(100, 6), 0.15, 0.0),
]
SELECT = [
    ("crowded 2000x6", crowded(2000, 6), 0.05, 0.0),
    ("sphere 2000x6", sphere(2000, 6), 0.1, 0.0),
    ("sphere 2000x6", sphere(2000, 6), 0.05, 0.0),
]


def uniform_size(V: Floats, eps: float, delta: float) -> int | None:
    """Size of the first uniform lattice whose optimal policies meet the target."""
    for resolution in range(1, 40):
        W = uniform_lattice(V.shape[1], resolution)
        if len(W) > 20_000:
            return None
        P = np.unique((W @ V.T).argmax(axis=1))
        if certificate(V, P, eps, delta).holds:
            return len(P)
    return None


def random_size(V: Floats, eps: float, delta: float, seed: int = 0) -> int:
    """Size at which optimal policies of random users first meet the target."""
    rng = np.random.default_rng(seed)
    P: list[int] = []
    while not P or not certificate(V, P, eps, delta).holds:
        best = int(np.argmax(V @ rng.dirichlet(np.ones(V.shape[1]))))
        if best not in P:
            P.append(best)
    return len(P)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proofs", action="store_true")
    parser.add_argument("--select", action="store_true")
    parser.add_argument("--time-limit", type=float, default=60.0)
    arguments = parser.parse_args()
    print(
        f"{'front':18}{'eps':>6}{'delta':>7}{'size':>6}{'bound':>7}{'proven':>8}{'wall s':>8}"
        f"{'cpu s':>8}{'greedy':>8}{'uniform':>9}{'random':>8}"
    )
    for name, V, eps, delta in SHORT + PROOFS * arguments.proofs:
        row(name, V, eps, delta, arguments.time_limit, baselines=True)
    for name, V, eps, delta in SELECT * arguments.select:
        row(name, V, eps, delta, None, baselines=False)


def row(
    name: str, V: Floats, eps: float, delta: float, limit: float | None, *, baselines: bool
) -> None:
    V = np.minimum(V, 1.0)
    wall, cpu = time.perf_counter(), time.process_time()
    portfolio = (
        min_portfolio(V, eps, delta)
        if limit is None
        else min_portfolio(V, eps, delta, time_limit=limit)
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    ratios = ["-"] * 3
    if baselines:
        uniform = uniform_size(V, eps, delta)
        sizes = [len(greedy_cover(V, eps, delta).indices), uniform, random_size(V, eps, delta)]
        ratios = ["-" if s is None else f"x{s / portfolio.size:.2f}" for s in sizes]
    print(
        f"{name:18}{eps:6.2f}{delta:7.2f}{portfolio.size:6}{portfolio.lower_bound:7}"
        f"{portfolio.optimal!s:>8}{wall:8.1f}{cpu:8.1f}{ratios[0]:>8}{ratios[1]:>9}{ratios[2]:>8}",
        flush=True,
    )


if __name__ == "__main__":
    main()
