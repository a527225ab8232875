"""How different the members' answers are, next to other portfolios of the same size."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from palmfolio.report import text
from palmfolio.report.model import Report
from palmfolio.types import DiversityFigures, OutputDiversity


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of output diversity.

    Attributes:
        name: as the field calls it.
        meaning: in words.
        most: the figure of the most diverse answers: 1, or 0 for self-BLEU.
        of: gives it, or None where there is none.
    """

    name: str
    meaning: str
    most: int
    of: Callable[[DiversityFigures], float | None]


def _distinct(n: int) -> Callable[[DiversityFigures], float | None]:
    def share(figures: DiversityFigures) -> float | None:
        value = figures.distinct[n - 1] if n <= len(figures.distinct) else math.nan
        return value if math.isfinite(value) else None

    return share


MEASURES = (
    Measure("distinct-1", "different words among all words", 1, _distinct(1)),
    Measure("distinct-2", "different pairs of words in a row", 1, _distinct(2)),
    Measure("distinct-3", "different triples of words in a row", 1, _distinct(3)),
    Measure("distinct-4", "different fours of words in a row", 1, _distinct(4)),
    Measure("self-BLEU", "how much an answer repeats the others", 0, lambda each: each.self_bleu),
    Measure(
        "embedding distance",
        "1 − cosine of two answers",
        1,
        lambda each: each.embedding_distance,
    ),
)
"""Every figure, in the order in which they are shown."""


def compared(measured: OutputDiversity) -> list[tuple[str, DiversityFigures]]:
    """The portfolios that are compared, by name; the portfolio itself comes first."""
    draws = text.counted(measured.random_draws, "draw", "draws")
    uniform = [] if measured.uniform is None else [("Evenly spread", measured.uniform)]
    return [
        ("This portfolio", measured.portfolio),
        *uniform,
        (f"Random, {draws}", measured.random),
    ]


def explanation(measured: OutputDiversity) -> str:
    """What was measured, in sentences."""
    groups = f"{measured.groups:,} {'set' if measured.groups == 1 else 'sets'} of answers"
    said = (
        f"Means over {groups} to the same prompt, one answer of each member. A figure can only be "
        "compared with that of a portfolio of the same size: with the policies that were trained "
        "nearest to evenly spread weights, and with policies drawn at random. "
    )
    if measured.uniform is None:
        said += "Too few candidates were trained at weights for evenly spread ones. "
    if measured.embedding_problem:
        return f"{said}No embedding distance: {measured.embedding_problem}."
    return f"{said}The embeddings are those of the trait {measured.embedding_trait}."


def best(measure: Measure, figures: Sequence[float | None]) -> float | None:
    """The figure of the most diverse portfolio; None when all are the same."""
    known = {round(value, 9) for value in figures if value is not None}
    if len(known) < 2:
        return None
    return max(known) if measure.most else min(known)


def section(report: Report) -> str:
    """The figures of each portfolio as a table; empty where they were not measured."""
    measured = report.portfolio.output_diversity
    if measured is None:
        return ""
    columns = compared(measured)
    heads = "".join(f"<th class=num>{text.escape(name)}</th>" for name, _ in columns)
    rows = "".join(_row(measure, [figures for _, figures in columns]) for measure in MEASURES)
    return (
        "<section class=card><h2>How different the answers are</h2><p class=note>"
        f"{text.escape(explanation(measured))} The most diverse is underlined.</p>"
        f"<div class=scroll><table><thead><tr><th>Measure</th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _row(measure: Measure, columns: Sequence[DiversityFigures]) -> str:
    values = [measure.of(figures) for figures in columns]
    if all(value is None for value in values):
        return ""
    top = best(measure, values)
    direction = "more is more diverse" if measure.most else "less is more diverse"
    cells = "".join(_cell(value, top) for value in values)
    return (
        f"<tr class=member><td class=measure><b>{measure.name}</b><br>"
        f"<span class=note>{measure.meaning}; {direction}</span></td>{cells}</tr>"
    )


def _cell(value: float | None, top: float | None) -> str:
    if value is None:
        return "<td class=num>–</td>"
    mark = " best" if top is not None and round(value, 9) == top else ""
    share = 100 * min(max(value, 0.0), 1.0)
    return (
        f'<td class="num{mark}"><span>{text.number(value)}</span>'
        f'<i class=meter><b style="width:{share:.0f}%"></b></i></td>'
    )
