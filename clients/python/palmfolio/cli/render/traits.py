"""Explains a trait, and compares it before and after a calibration."""

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from palmfolio import types
from palmfolio.cli.files.calibration_summary import Comparison


def explanation(trait: types.Trait) -> Table:
    """A trait's declaration, and the parts that its version is made of."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    template = trait.provenance.get("options.template", "")
    rows = [
        ("trait", trait.name),
        ("description", trait.description),
        ("kind", trait.kind),
        ("version", trait.version),
        ("model", trait.model),
        ("template", template),
        ("reads", ", ".join(trait.fields)),
        ("normalisation", trait.normalisation),
        ("empty response", trait.empty_response),
    ]
    for name, value in rows:
        if value:
            grid.add_row(name, Text(value))
    if trait.failure:
        grid.add_row("cannot be scored", Text(trait.failure, "red"))
    if trait.provenance:
        grid.add_row("", "")
        grid.add_row("the version is made of", Text("the normalisation, and", "dim"))
        for name, value in sorted(trait.provenance.items()):
            grid.add_row(Text(f"  {name}"), Text(value))
    return grid


def comparison(compared: Comparison) -> Group:
    """Versions and normalisations, and the samples' quantiles under both."""
    grid = Table.grid(padding=(0, 2))
    for _ in range(3):
        grid.add_column(overflow="fold")
    grid.add_row(Text(compared.trait, "bold"), Text("version", "dim"), Text("normalisation", "dim"))
    grid.add_row("before", compared.version_before, compared.normalisation_before)
    after = "after" if compared.stored else "after (not stored)"
    grid.add_row(after, compared.version_after, compared.normalisation_after)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("quantile", "raw", "normalised before", "normalised after"):
        table.add_column(name, justify="right")
    for quantile in compared.distribution:
        table.add_row(
            f"{quantile.level:.0%}",
            _number(quantile.raw, ".4g"),
            _number(quantile.before, ".3f"),
            _number(quantile.after, ".3f"),
        )
    return Group(grid, table, Text(f"{compared.scored_samples} samples scored", "dim"))


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
