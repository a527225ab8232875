"""The output diversity of a portfolio as a protocol message."""

import math
from collections.abc import Sequence

from palmfolio.v1 import output_diversity_pb2
from palmfolio_selector.domain.output_diversity import (
    ComparedFigures,
    ComparedPortfolios,
    PortfolioFigures,
)


def output_diversity(
    compared: ComparedPortfolios, figures: ComparedFigures, names: Sequence[str]
) -> output_diversity_pb2.OutputDiversity:
    """The figures, without what concerns the embeddings.

    Args:
        names: of the candidates.
    """
    message = output_diversity_pb2.OutputDiversity(
        portfolio=_figures(figures.portfolio, [names[i] for i in compared.members]),
        random=_figures(figures.random, ()),
        random_draws=len(compared.random),
        groups=figures.groups,
    )
    if figures.uniform is not None and compared.uniform is not None:
        uniform = _figures(figures.uniform, [names[i] for i in compared.uniform])
        message.uniform.CopyFrom(uniform)
    return message


def _figures(
    figures: PortfolioFigures, policies: Sequence[str]
) -> output_diversity_pb2.DiversityFigures:
    return output_diversity_pb2.DiversityFigures(
        distinct=[math.nan if share is None else share for share in figures.distinct],
        self_bleu=figures.self_bleu,
        embedding_distance=figures.embedding_distance,
        policies=policies,
    )
