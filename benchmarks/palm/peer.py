"""(d) Certified gap after the same number of trainings, side by side with morl-baselines.

The peer is optimistic linear support of morl-baselines 1.3.0 (`pip install morl-baselines==1.3.0
pycddlib==2.1.6`; not a dependency of palmfolio). Both choose weights for the same fronts; both
sets of trainings are judged by the same outer bound. Times are CPU seconds per choice.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time

import numpy as np
from fronts import TRAINABLE, Floats, Trainable

from palmfolio_palm import OuterBound


def ours(front: Trainable, d: int, budget: int) -> tuple[OuterBound, float]:
    """Trainings chosen by palmfolio and the mean time per choice."""
    outer, spent = OuterBound(d), 0.0
    for _ in range(budget):
        start = time.process_time()
        w = outer.next_weights()[0]
        spent += time.process_time() - start
        outer.add(w, front(w))
    return outer, spent / budget


def peer(front: Trainable, d: int, budget: int) -> tuple[OuterBound, float, int]:
    """Trainings chosen by optimistic linear support, time per choice, and trainings made."""
    from morl_baselines.multi_policy.linear_support.linear_support import LinearSupport

    support, outer, spent = LinearSupport(d, epsilon=0.0, verbose=False), OuterBound(d), 0.0
    for count in range(budget):
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            w = support.next_weight("ols")
        spent += time.process_time() - start
        if w is None:
            return outer, spent / max(1, count), count
        weights: Floats = np.clip(w, 0.0, None) / np.clip(w, 0.0, None).sum()
        # The value of a trait of weight 0 is not determined by training: take the limit.
        v = front((weights + 1e-6) / (1.0 + 1e-6 * d))
        with contextlib.redirect_stdout(io.StringIO()):
            support.add_solution(v, weights)
        outer.add(weights, v)
    return outer, spent / budget, budget


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traits", type=int, nargs="+", default=[3])
    parser.add_argument("--budget", type=int, nargs="+", default=[10, 16])
    arguments = parser.parse_args()
    try:
        import morl_baselines.multi_policy.linear_support.linear_support  # noqa: F401
    except ImportError as error:
        raise SystemExit(f"the peer is not installed: {error}\n{__doc__}") from error
    print(
        f"{'d':>2} {'front':12}{'trainings':>10}{'gap':>8}{'peer gap':>10}{'ratio':>7}"
        f"{'s/step':>9}{'peer s':>9}{'ratio':>7}"
    )
    for d in arguments.traits:
        for name, (make, alpha) in TRAINABLE.items():
            if alpha > 0.0:
                continue  # the peer has no notion of imperfect training
            for budget in arguments.budget:
                mine, seconds = ours(make(d), d, budget)
                theirs, peer_seconds, made = peer(make(d), d, budget)
                gap, peer_gap = mine.certified_gap().gap, theirs.certified_gap().gap
                label = f"{budget}" if made == budget else f"{budget}/{made}"
                print(
                    f"{d:2} {name:12}{label:>10}{gap:8.4f}{peer_gap:10.4f}"
                    f"{'x%.2f' % (peer_gap / max(gap, 1e-12)):>7}{seconds:9.4f}"
                    f"{peer_seconds:9.4f}{'x%.1f' % (peer_seconds / seconds):>7}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
