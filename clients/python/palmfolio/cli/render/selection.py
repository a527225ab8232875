"""`palmfolio select` for people: the search's progress, and the portfolio."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from palmfolio.cli.files.evaluation_table import Table as Evaluations
from palmfolio.cli.render.tables import weights_text

if TYPE_CHECKING:
    from palmfolio.cli.local.confidence import Confidence
    from palmfolio.cli.local.selection import Found, Wish
    from palmfolio_palm import Progress

# A gap that is this small is rounding.
_NOTHING = 1e-9

# Traits that are shown as columns at most, and how many of more traits are named.
_COLUMNS, _SHOWN = 8, 3

# A search that is over before this, in seconds, leaves no lines where there is no terminal.
_QUIET = 2.0


class SearchProgress:
    """A line with the bounds that narrow: replaced in a terminal, one per change elsewhere."""

    def __init__(self, console: Console, wish: "Wish") -> None:
        self._console = console
        self._best_of_size = wish.is_best_of_size
        self._status = console.status("searching")
        self._said = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._status.stop()

    def show(self, progress: "Progress") -> None:
        """Shows the state of the search."""
        bounds = self._bounds(progress)
        if self._console.is_terminal:
            self._status.update(f"{progress.seconds:.0f} s  {bounds}")
        elif progress.seconds >= _QUIET and bounds != self._said:
            self._said = bounds
            self._console.print(f"  {progress.seconds:.0f} s  {bounds}", highlight=False)

    def _bounds(self, progress: "Progress") -> str:
        # The target's search counts members; the search for the best of a size measures its gap.
        if progress.upper == progress.size and not self._best_of_size:
            return f"found {progress.upper:.0f} policies; at least {progress.lower:.0f} are needed"
        return (
            f"found a gap of {progress.upper:.5f} with {progress.size} policies; at least "
            f"{progress.lower:.5f} is unavoidable"
        )


def portfolio(
    table: Evaluations, wish: "Wish", found: "Found", bound: "Confidence | None"
) -> Group:
    """The members with their values, and what is certified."""
    members = _values(table, found) if len(table.traits) <= _COLUMNS else _strengths(table, found)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column()
    for name, text in _facts(table, wish, found, bound):
        facts.add_row(name, Text(text))
    return Group(members, facts)


def _values(table: Evaluations, found: "Found") -> Table:
    """A column per trait."""
    members = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    members.add_column("policy", overflow="fold")
    for trait in table.traits:
        members.add_column(Text(trait), justify="right")
    for index in found.members:
        cells = [f"{value:.3f}" for value in table.values[index]]
        members.add_row(Text(table.policies[index], "bold"), *cells)
    return members


def _strengths(table: Evaluations, found: "Found") -> Table:
    """The traits on which each member is strongest, as so many columns fit no terminal."""
    members = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    members.add_column("policy", overflow="fold")
    members.add_column(f"highest of {len(table.traits)} values", overflow="fold")
    for index in found.members:
        best = sorted(
            zip(table.traits, table.values[index], strict=True), key=lambda item: -item[1]
        )
        text = ", ".join(f"{trait} {value:.3f}" for trait, value in best[:_SHOWN])
        members.add_row(Text(table.policies[index], "bold"), Text(text))
    return members


def _facts(
    table: Evaluations, wish: "Wish", found: "Found", bound: "Confidence | None"
) -> list[tuple[str, str]]:
    at_epsilon = f" at epsilon {wish.epsilon:g}" if wish.epsilon else ""
    worst = weights_text(dict(zip(table.traits, found.worst_weights, strict=True)), table.traits)
    facts = [
        ("size", f"{len(found.members)} of {len(table.policies)} policies, {_proof(found)}"),
        ("certified gap", f"{found.additive:.6f}  (additive{at_epsilon}, over every weighting)"),
        ("worst-served user", "no one loses anything" if _loses_nothing(wish, found) else worst),
    ]
    if found.multiplicative is not None:
        at_delta = f" at delta {wish.delta:g}" if wish.delta else ""
        text = f"{found.multiplicative:.6f}  (multiplicative{at_delta})"
        facts.insert(2, ("", text))
    else:
        facts.insert(2, ("", "(no multiplicative gap: on some trait no policy scores above 0)"))
    if bound is not None:
        text = (
            f"{bound.additive:.6f}  (additive{at_epsilon}, true gap at {100 * bound.level:g} % "
            f"confidence, {bound.prompts} prompts, {bound.method})"
        )
        facts.append(("upper bound", text))
    return facts


def _loses_nothing(wish: "Wish", found: "Found") -> bool:
    """Whether the gap is zero; one at an epsilon or delta above 0 leaves that open."""
    if wish.epsilon == 0:
        return found.additive <= _NOTHING
    return wish.delta == 0 and found.multiplicative is not None and found.multiplicative <= _NOTHING


def _proof(found: "Found") -> str:
    if found.gap_lower_bound is not None:
        if found.optimal:
            return "proven to have the smallest gap of its size"
        return f"not proven best: a gap of {found.gap_lower_bound:.6f} is not ruled out"
    if found.optimal:
        return "proven smallest"
    return f"not proven smallest: at least {found.lower_bound} are needed"
