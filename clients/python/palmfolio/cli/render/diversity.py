"""Output diversity as a table for people."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from palmfolio import types
from palmfolio.cli.render.tables import new_table
from palmfolio.report.output_diversity import MEASURES, best, compared


def output_diversity(measured: types.OutputDiversity) -> Group:
    """The figures of the portfolio, next to other portfolios of its size; the best are bold."""
    columns = compared(measured)
    grid: Table = new_table("output diversity")
    for name, _ in columns:
        grid.add_column(name, justify="right")
    for measure in MEASURES:
        values = [measure.of(figures) for _, figures in columns]
        if all(value is None for value in values):
            continue
        top = best(measure, values)
        cells = [_cell(value, top) for value in values]
        grid.add_row(f"{measure.name} ({'more' if measure.most else 'less'})", *cells)
    grounds = f"means over {measured.groups:,} sets of answers to the same prompt"
    if measured.embedding_problem:
        grounds += f"; no embedding distance: {measured.embedding_problem}"
    else:
        grounds += f"; embeddings of the trait {measured.embedding_trait}"
    return Group(grid, Text(grounds, "dim"))


def _cell(value: float | None, top: float | None) -> Text:
    if value is None:
        return Text("–")
    return Text(f"{value:.3f}", "bold" if top is not None and round(value, 9) == top else "")
