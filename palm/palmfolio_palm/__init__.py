"""PALM as a library: small portfolios of policies that are certified for every user.

Pure mathematics on value vectors: `V` is an (n, d) float64 array whose row p holds policy p's mean
normalised reward on each trait; users are weights w ≥ 0, Σw = 1; a portfolio is an array of row
indices. Needs numpy and scipy only. Formulas: docs/algorithms.md.
"""

from palmfolio_palm.certificates.certificate import (
    Certificate,
    Gap,
    certificate,
    gap_at,
    multiplicative_gap,
    verify,
)
from palmfolio_palm.certificates.confidence import ConfidenceBound, certificate_ucb
from palmfolio_palm.certificates.corners import CornersUnavailable, corner_weights
from palmfolio_palm.certificates.outer_bound import (
    OuterBound,
    OuterGap,
    Refutation,
    starting_weights,
)
from palmfolio_palm.covers.best_of_size import BestPortfolio, best_portfolio, tradeoff_curve
from palmfolio_palm.covers.greedy import Cover, greedy_cover
from palmfolio_palm.covers.minimum import MinimumPortfolio, min_portfolio
from palmfolio_palm.covers.progress import Progress, ProgressCallback
from palmfolio_palm.grids import (
    grid_size,
    grid_weights,
    lattice_resolution,
    round_weight,
    uniform_lattice,
)
from palmfolio_palm.pareto import pareto
from palmfolio_palm.population.portfolio import (
    PopulationGaps,
    PopulationPortfolio,
    best_for_population,
    population_gaps,
)
from palmfolio_palm.validation import Infeasible

__all__ = [
    "BestPortfolio",
    "Certificate",
    "ConfidenceBound",
    "CornersUnavailable",
    "Cover",
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
    "best_for_population",
    "best_portfolio",
    "certificate",
    "certificate_ucb",
    "corner_weights",
    "gap_at",
    "greedy_cover",
    "grid_size",
    "grid_weights",
    "lattice_resolution",
    "min_portfolio",
    "multiplicative_gap",
    "pareto",
    "population_gaps",
    "round_weight",
    "starting_weights",
    "tradeoff_curve",
    "uniform_lattice",
    "verify",
]
