"""What other packages may rely on."""

from __future__ import annotations

import subprocess
import sys

import palmfolio_palm as palm

SURFACE = [
    "Baselines",
    "BestPortfolio",
    "Certificate",
    "Comparison",
    "ConfidenceBound",
    "CornersUnavailable",
    "Cover",
    "DiversityFigures",
    "Gap",
    "Infeasible",
    "MinimumPortfolio",
    "OuterBound",
    "OuterGap",
    "PopulationGaps",
    "PopulationPortfolio",
    "Progress",
    "ProgressCallback",
    "Refutation",
    "Route",
    "Selection",
    "SelectionCallback",
    "Target",
    "TargetInfeasible",
    "Trainings",
    "baselines",
    "best_for_population",
    "best_portfolio",
    "certificate",
    "certificate_ucb",
    "certify",
    "compare",
    "confidence",
    "confidence_of_means",
    "corner_weights",
    "cosine_distances",
    "curve",
    "distinct_n",
    "even_weights",
    "gap_at",
    "greedy_cover",
    "grid_size",
    "grid_weights",
    "hoeffding_bound",
    "lattice_resolution",
    "mean_distance",
    "min_portfolio",
    "multiplicative_gap",
    "next_weights",
    "output_diversity",
    "pareto",
    "population_gaps",
    "random_portfolios",
    "refute",
    "round_weight",
    "rounded_up",
    "route",
    "select",
    "self_bleu",
    "starting_weights",
    "tradeoff_curve",
    "trainable_gap",
    "uniform_lattice",
    "uniform_portfolio",
    "verify",
    "whole",
    "words",
]


def test_public_names_are_pinned() -> None:
    assert palm.__all__ == SURFACE
    assert all(hasattr(palm, name) for name in SURFACE)


def test_needs_numpy_and_scipy_only() -> None:
    code = (
        "import sys, numpy, scipy.optimize, scipy.sparse, scipy.spatial, scipy.stats\n"
        "before = set(sys.modules)\n"
        "import palmfolio_palm\n"
        "new = {m.split('.')[0] for m in set(sys.modules) - before}\n"
        "new -= {'numpy', 'scipy', *sys.stdlib_module_names}\n"
        "assert new == {'palmfolio_palm'}, new"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
