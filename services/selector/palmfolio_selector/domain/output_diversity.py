"""Which portfolios a portfolio's output diversity is compared with, and the figures of each.

docs/algorithms.md, section 9.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from palmfolio_palm import (
    mean_distance,
    output_diversity,
    random_portfolios,
    uniform_portfolio,
)
from palmfolio_palm.output_diversity import ORDERS

MAX_MEMBERS = 64
"""A portfolio with more members is not measured: each answer is compared with every other."""

RANDOM_DRAWS = 8
_SEED = 0
# Means over more groups hardly differ. The other two bound the time: answers that BLEU compares
# with an answer (about 0.2 ms each), and pairs of answers whose embeddings are compared.
_MAX_GROUPS, _MAX_REFERENCES, _MAX_PAIRS = 128, 30_000, 8_192

Portfolio = tuple[int, ...]
"""Members, as sorted positions among the candidates."""

Distances = Mapping[tuple[str, str], float]
"""The embedding distance of two different answers, the first of which sorts before the second."""


@dataclass(frozen=True)
class ComparedPortfolios:
    """A portfolio, and others of its size from the same candidates.

    Attributes:
        members: the portfolio's.
        uniform: the candidates trained nearest to evenly spread weights; None when too few were
            trained at weights.
        random: drawn with a fixed seed.
    """

    members: Portfolio
    uniform: Portfolio | None
    random: tuple[Portfolio, ...]

    @cached_property
    def different(self) -> tuple[Portfolio, ...]:
        """Every portfolio, each once."""
        uniform = [self.uniform] if self.uniform else []
        return tuple(dict.fromkeys([self.members, *uniform, *self.random]))

    @cached_property
    def policies(self) -> tuple[int, ...]:
        """Every policy of a portfolio, sorted."""
        return tuple(sorted({policy for portfolio in self.different for policy in portfolio}))

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Every two policies of one portfolio."""
        return tuple(
            sorted({pair for portfolio in self.different for pair in combinations(portfolio, 2)})
        )

    @property
    def max_groups(self) -> int:
        """Groups to measure at most."""
        references = sum(len(portfolio) ** 2 for portfolio in self.different)
        bounds = (_MAX_REFERENCES // references, _MAX_PAIRS // max(1, len(self.pairs)))
        return max(1, min(_MAX_GROUPS, *bounds))


def compared_portfolios(
    members: Sequence[int], weights: Sequence[Mapping[str, float] | None], traits: Sequence[str]
) -> ComparedPortfolios:
    """The portfolios to compare with.

    Args:
        members: the portfolio's, as positions among the candidates.
        weights: what each candidate was trained at; None where that is not known.
        traits: the portfolio's.
    """
    size = len(members)
    trained = [position for position, row in enumerate(weights) if row and {*row} <= {*traits}]
    enough = len(trained) >= size
    pool = trained if enough else list(range(len(weights)))
    rows = [[(weights[i] or {}).get(trait, 0.0) for trait in traits] for i in trained]
    uniform = uniform_portfolio(np.array(rows), size).tolist() if enough else None
    drawn = random_portfolios(len(pool), size, RANDOM_DRAWS, _SEED).tolist()
    return ComparedPortfolios(
        members=tuple(sorted(members)),
        uniform=None if uniform is None else tuple(sorted(trained[i] for i in uniform)),
        random=tuple(tuple(sorted(pool[i] for i in row)) for row in drawn),
    )


@dataclass(frozen=True)
class PortfolioFigures:
    """The output diversity of one portfolio, or of several as a mean.

    Attributes:
        distinct: distinct-n for n = 1 to 4; None where no answer has n words.
        self_bleu: None for a single member.
        embedding_distance: None for a single member, and where no distance is known.
    """

    distinct: tuple[float | None, ...]
    self_bleu: float | None
    embedding_distance: float | None


@dataclass(frozen=True)
class ComparedFigures:
    """The output diversity of compared portfolios.

    Attributes:
        groups: that all figures are means over.
    """

    portfolio: PortfolioFigures
    uniform: PortfolioFigures | None
    random: PortfolioFigures
    groups: int


def compared_figures(
    compared: ComparedPortfolios, answers: Sequence[Sequence[str]], distances: Distances | None
) -> ComparedFigures:
    """The figures of each portfolio.

    Args:
        answers: by group, at least one: the answer of each of `compared.policies`.
        distances: of the answers; a pair that is missing does not count. None when no distance
            was measured.
    """
    columns = {policy: column for column, policy in enumerate(compared.policies)}
    figures = {
        portfolio: _figures(
            [[group[columns[policy]] for policy in portfolio] for group in answers], distances
        )
        for portfolio in compared.different
    }
    return ComparedFigures(
        portfolio=figures[compared.members],
        uniform=figures[compared.uniform] if compared.uniform else None,
        random=_mean_figures([figures[portfolio] for portfolio in compared.random]),
        groups=len(answers),
    )


def different_answers(
    compared: ComparedPortfolios, answers: Sequence[Sequence[str]]
) -> list[tuple[str, str]]:
    """The pairs of answers whose distance matters, each once; equal answers have none."""
    columns = {policy: column for column, policy in enumerate(compared.policies)}
    pairs = (
        _ordered(group[columns[left]], group[columns[right]])
        for group in answers
        for left, right in compared.pairs
    )
    return list(dict.fromkeys(pair for pair in pairs if pair[0] != pair[1]))


def _ordered(left: str, right: str) -> tuple[str, str]:
    return (left, right) if left <= right else (right, left)


def _figures(groups: Sequence[Sequence[str]], distances: Distances | None) -> PortfolioFigures:
    words = output_diversity(groups)
    if distances is None:
        return PortfolioFigures(words.distinct, words.self_bleu, None)
    return PortfolioFigures(
        distinct=words.distinct,
        self_bleu=words.self_bleu,
        embedding_distance=mean_distance(
            [
                [[_distance(left, right, distances) for right in group] for left in group]
                for group in groups
            ]
        ),
    )


def _distance(left: str, right: str, distances: Distances) -> float:
    return 0.0 if left == right else distances.get(_ordered(left, right), math.nan)


def _mean_figures(figures: Sequence[PortfolioFigures]) -> PortfolioFigures:
    return PortfolioFigures(
        distinct=tuple(
            _mean([each.distinct[index] for each in figures]) for index in range(len(ORDERS))
        ),
        self_bleu=_mean([each.self_bleu for each in figures]),
        embedding_distance=_mean([each.embedding_distance for each in figures]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
