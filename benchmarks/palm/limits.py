"""(e) Limits of time and memory, early answers and bounds: every row in a process of its own.

`--against PATH` runs every row with the `palmfolio_palm` under that path as well, next to this one,
for example a checkout of an earlier version: `git archive v1 palm | tar -x -C /tmp/v1` and
`--against /tmp/v1/palm`. Times are wall and CPU seconds of the call only, memory is the peak of the
process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fronts import Floats, clustered, power, roots, sphere

import palmfolio_palm as palm

# Of one row, in seconds; what takes longer is ended and shown as such.
_LONGEST = 150.0


def uniform(n: int, d: int, seed: int = 0) -> Floats:
    """Independent values: with many traits nearly all policies are Pareto-optimal."""
    return np.random.default_rng(seed).random((n, d))


def certified(n: int, d: int, k: int) -> str:
    made = palm.certificate(uniform(n, d), list(range(k)), 0.05)
    return f"gap {made.additive:.6f}, {made.method}"


def best(V: Floats, k: int, limit: float) -> str:
    V = np.minimum(V, 1.0)
    found = palm.best_portfolio(V, k, time_limit=limit)
    return f"gap {found.gap:.4f}, bound {found.lower_bound:.4f}"


def curve(V: Floats, most: int, limit: float) -> str:
    points = palm.tradeoff_curve(V, most, time_limit=limit)
    return f"gap {points[-1].gap:.4f}, bound {points[-1].lower_bound:.4f}, K {points[-1].k}"


def smallest(V: Floats, eps: float, limit: float) -> str:
    V = np.minimum(V, 1.0)
    found = palm.min_portfolio(V, eps, 0.0, time_limit=limit)
    return f"size {found.size}, bound {found.lower_bound}"


def chosen(V: Floats, k: int, limit: float) -> str:
    V = np.minimum(V, 1.0)
    found = palm.select(V, palm.Target(0.0, 0.0, k), limit)
    return f"gap {found.plain.additive:.4f}, bound {found.gap_lower_bound:.4f}"


ROWS: dict[str, tuple[float | None, Callable[[], str]]] = {
    "certificate 200x20, 12": (None, lambda: certified(200, 20, 12)),
    "certificate 200x30, 12": (None, lambda: certified(200, 30, 12)),
    "certificate 200x60, 12": (None, lambda: certified(200, 60, 12)),
    "certificate 2000x12, 16": (None, lambda: certified(2000, 12, 16)),
    "certificate 5000x8, 20": (None, lambda: certified(5000, 8, 20)),
    "size 8 of 10x24": (18.0, lambda: chosen(uniform(10, 24), 8, 18.0)),
    "size 4 of 50x100": (18.0, lambda: chosen(uniform(50, 100), 4, 18.0)),
    "size 4 of 50000x3": (18.0, lambda: chosen(sphere(50_000, 3), 4, 18.0)),
    "curve to 12 of 200x20": (10.0, lambda: curve(uniform(200, 20), 12, 10.0)),
    "best 12 of 200x20": (5.0, lambda: best(uniform(200, 20), 12, 5.0)),
    "best 4 of 5000x3": (20.0, lambda: best(sphere(5000, 3), 4, 20.0)),
    "best 4 of 300x8": (8.0, lambda: best(sphere(300, 8), 4, 8.0)),
    "min 2000x6, eps .02": (2.0, lambda: smallest(sphere(2000, 6), 0.02, 2.0)),
    "min 2000x6, eps .02, long": (20.0, lambda: smallest(sphere(2000, 6), 0.02, 20.0)),
    "min 2000x6, eps .05": (20.0, lambda: smallest(sphere(2000, 6), 0.05, 20.0)),
    "min roots 2000x6, eps .02": (2.0, lambda: smallest(roots(2000, 6), 0.02, 2.0)),
    "min 50000x3, eps .05": (4.0, lambda: smallest(sphere(50_000, 3), 0.05, 4.0)),
    "min 1000x10, eps .1": (5.0, lambda: smallest(sphere(1000, 10), 0.1, 5.0)),
    "min 10000x4, eps .05": (20.0, lambda: smallest(sphere(10_000, 4), 0.05, 20.0)),
    "min power 2000x3, eps .01": (14.0, lambda: smallest(power(2000, 3), 0.01, 14.0)),
    "min sphere 200x4, eps .1": (20.0, lambda: smallest(sphere(200, 4), 0.1, 20.0)),
    "min clustered 2000x4, .02": (10.0, lambda: smallest(clustered(2000, 4), 0.02, 10.0)),
}


def measure(name: str) -> dict[str, object]:
    """One row, in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = ROWS[name][1]()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"result": result, "wall": wall, "cpu": cpu, "gigabytes": peak}


def measured(name: str, package: Path | None, threads: int) -> str:
    """One row in a process of its own, as text."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    if package is not None:
        environment["PYTHONPATH"] = str(package)
    command = [sys.executable, __file__, "--measure", name]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_LONGEST
        )
    except subprocess.TimeoutExpired:
        return f"{'over':>7}{_LONGEST:7.0f}{'-':>6}  none"
    if done.returncode:
        return f"{'-':>7}{'-':>7}{'-':>6}  {done.stderr.strip().splitlines()[-1][:60]}"
    row = json.loads(done.stdout)
    return f"{row['wall']:7.2f}{row['cpu']:7.2f}{row['gigabytes']:6.2f}  {row['result']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", metavar="ROW", help="run one row in this process, as JSON")
    parser.add_argument("--rows", default="", help="only rows whose name holds this text")
    parser.add_argument("--against", type=Path, help="folder of another palmfolio_palm")
    parser.add_argument("--threads", type=int, default=1, help="of the linear algebra library")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    print(f"{'row':27}{'limit':>6}{'version':>9}{'wall s':>7}{'cpu s':>7}{'GB':>6}  result")
    for name, (limit, _) in ROWS.items():
        if arguments.rows not in name:
            continue
        shown = "-" if limit is None else f"{limit:.0f}"
        if arguments.against is not None:
            before = measured(name, arguments.against, arguments.threads)
            print(f"{name:27}{shown:>6}{'against':>9}{before}", flush=True)
        now = measured(name, None, arguments.threads)
        print(f"{name:27}{shown:>6}{'this':>9}{now}", flush=True)


if __name__ == "__main__":
    main()
