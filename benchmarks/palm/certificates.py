"""(b) Time of the exact certificate against one linear program per candidate, in CPU seconds."""

from __future__ import annotations

import argparse
import time

import numpy as np

from palmfolio_palm import certificate
from palmfolio_palm.certificates.certificate import best_values
from palmfolio_palm.certificates.maximisers import additive_maximisers

SIZES = [(500, 3, 8), (2000, 5, 12), (5000, 8, 20)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--candidates", type=int, default=500, help="LPs timed per row, then scaled"
    )
    arguments = parser.parse_args()
    print(f"{'n':>6}{'d':>4}{'k':>4}{'corners s':>11}{'LPs s':>9}{'ratio':>8}{'difference':>12}")
    for n, d, k in SIZES:
        rng = np.random.default_rng(0)
        V, P = rng.random((n, d)), rng.choice(n, k, replace=False)
        start = time.process_time()
        exact = certificate(V, P, 0.05)
        corners = time.process_time() - start
        worst = int(np.argmax(V @ exact.worst_weights_additive))
        some = np.unique(np.append(rng.permutation(n)[: arguments.candidates], worst))
        start = time.process_time()
        W = additive_maximisers(V[some], V[P], 0.05)
        lps = (time.process_time() - start) * n / len(some)
        by_lp = float((0.95 * best_values(V[some], W) - best_values(V[P], W)).max())
        print(
            f"{n:6}{d:4}{k:4}{corners:11.4f}{lps:9.2f}{'x%.0f' % (lps / corners):>8}"
            f"{abs(by_lp - exact.additive):12.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
