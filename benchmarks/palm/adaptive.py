"""(c) Trainings to a certified additive gap: adaptive against uniform lattice and geometric grid.

The uniform lattice is judged by the same outer bound, so only the choice of weights differs. The
geometric grid certifies a priori and needs its full size.
"""

from __future__ import annotations

import argparse
import time

from fronts import TRAINABLE, Trainable

from palmfolio_palm import OuterBound, grid_size, uniform_lattice

MOST = {2: 60, 3: 100, 4: 250, 5: 250}


def adaptive(front: Trainable, d: int, alpha: float, target: float) -> tuple[int | None, float]:
    """Trainings until the target is certified, and the longest step in CPU seconds."""
    outer, longest = OuterBound(d), 0.0
    for count in range(1, MOST[d] + 1):
        start = time.process_time()
        w = outer.next_weights(target=target)[0]
        outer.add(w, front(w), alpha)
        done = count > d and outer.certified_gap().gap <= target
        longest = max(longest, time.process_time() - start)
        if done:
            return count, longest
    return None, longest


def uniform(front: Trainable, d: int, alpha: float, target: float) -> int | None:
    """Size of the coarsest uniform lattice that certifies the target."""
    resolution = 1
    while len(W := uniform_lattice(d, resolution)) <= MOST[d]:
        outer = OuterBound(d)
        for w in W:
            # The value of a trait of weight 0 is not determined by training: take the limit.
            inner = (w + 1e-6) / (1.0 + 1e-6 * d)
            outer.add(w, front(inner), alpha)
        if outer.certified_gap().gap <= target:
            return len(W)
        resolution += 1
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traits", type=int, nargs="+", default=[2, 3], choices=[2, 3, 4, 5])
    parser.add_argument("--fronts", nargs="+", default=list(TRAINABLE), choices=list(TRAINABLE))
    parser.add_argument("--target", type=float, default=0.05)
    arguments = parser.parse_args()
    print(
        f"{'d':>2} {'front':12}{'adaptive':>9}{'uniform':>9}{'ratio':>7}"
        f"{'geometric':>11}{'longest step, cpu s':>21}"
    )
    for d in arguments.traits:
        for name in arguments.fronts:
            make, alpha = TRAINABLE[name]
            trainings, longest = adaptive(make(d), d, alpha, arguments.target)
            lattice = uniform(make(d), d, alpha, arguments.target)
            ratio = f"{trainings / lattice:.2f}" if trainings and lattice else "-"
            print(
                f"{d:2} {name:12}{trainings or f'>{MOST[d]}':>9}{lattice or f'>{MOST[d]}':>9}"
                f"{ratio:>7}{grid_size(d, arguments.target, arguments.target):11}{longest:21.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
