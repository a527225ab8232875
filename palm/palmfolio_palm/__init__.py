"""PALM as a library: small portfolios of policies that are certified for every user.

Pure mathematics on value vectors: `V` is an (n, d) float64 array whose row p holds policy p's mean
normalised reward on each trait; users are weights w ≥ 0, Σw = 1; a portfolio is an array of row
indices. Needs numpy and scipy only (`pip install 'palmfolio[palm]'`). Formulas: docs/algorithms.md.

Example:
    The smallest portfolio that costs no user more than 0.15, and what it guarantees:

    >>> import palmfolio_palm as palm
    >>> V = [[1.0, 0.0], [0.9, 0.5], [0.5, 0.9], [0.0, 1.0], [0.6, 0.6]]
    >>> chosen = palm.select(V, palm.Target(epsilon=0.0, delta=0.15), seconds=5)
    >>> chosen.members.tolist(), chosen.optimal, round(chosen.plain.additive, 6)
    ([1, 2], True, 0.1)
    >>> palm.route(V, chosen.members, [0.2, 0.8]).index
    2
"""

from palmfolio_palm.certificates.certificate import (
    Certificate,
    Gap,
    certificate,
    gap_at,
    multiplicative_gap,
    verify,
)
from palmfolio_palm.certificates.confidence import (
    ConfidenceBound,
    certificate_ucb,
    hoeffding_bound,
)
from palmfolio_palm.certificates.corners import CornersUnavailable, corner_weights
from palmfolio_palm.certificates.outer_bound import OuterBound, OuterGap
from palmfolio_palm.certificates.refutations import Refutation
from palmfolio_palm.certificates.starting_weights import starting_weights
from palmfolio_palm.comparison import Comparison, compare
from palmfolio_palm.covers.best_of_size import best_portfolio, tradeoff_curve
from palmfolio_palm.covers.gap_search import BestPortfolio
from palmfolio_palm.covers.greedy import Cover, greedy_cover
from palmfolio_palm.covers.minimum import MinimumPortfolio, min_portfolio
from palmfolio_palm.covers.progress import Progress, ProgressCallback
from palmfolio_palm.exploration import Trainings, next_weights, refute, trainable_gap
from palmfolio_palm.grids import (
    grid_size,
    grid_weights,
    lattice_resolution,
    round_weight,
    uniform_lattice,
)
from palmfolio_palm.output_diversity import (
    DiversityFigures,
    cosine_distances,
    distinct_n,
    mean_distance,
    output_diversity,
    self_bleu,
    words,
)
from palmfolio_palm.pareto import pareto
from palmfolio_palm.population.gaps import PopulationGaps, population_gaps
from palmfolio_palm.population.portfolio import PopulationPortfolio, best_for_population
from palmfolio_palm.routing import Route, route
from palmfolio_palm.selection import (
    Baselines,
    Selection,
    SelectionCallback,
    baselines,
    certify,
    confidence,
    confidence_of_means,
    curve,
    select,
    whole,
)
from palmfolio_palm.simple_portfolios import even_weights, random_portfolios, uniform_portfolio
from palmfolio_palm.targets import Target, TargetInfeasible
from palmfolio_palm.validation import Infeasible, rounded_up

__all__ = [
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
