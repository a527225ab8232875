"""`palmfolio select` for people: the search's progress, and the portfolio."""

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from palmfolio.cli.files.evaluations.table import Table as Evaluations
from palmfolio.cli.render.live import LiveDisplay
from palmfolio.cli.render.tables import weights_text
from palmfolio.report import computation

if TYPE_CHECKING:
    from palmfolio_palm import Certificate, ConfidenceBound, Progress, Selection, Target

# A gap that is this small is rounding.
_NOTHING = 1e-9

# Traits that are shown as columns at most, and how many of more traits are named.
_COLUMNS, _SHOWN = 8, 3

# A search that is over before this, in seconds, leaves no lines where there is no terminal.
_QUIET = 2.0


_ONE_PROMPT = (
    "every value is that of one prompt: the gaps hold for it, and nothing is known about others"
)


class SearchProgress(LiveDisplay):
    """A line with the bounds that narrow: replaced in a terminal, one per change elsewhere."""

    def __init__(self, console: Console) -> None:
        self._status = console.status("searching")
        self._printed = ""
        super().__init__(console, self._status)

    def show(self, progress: "Progress") -> None:
        """Shows the state of the search."""
        bounds = self._bounds(progress)
        if self._console.is_terminal:
            self._status.update(f"{progress.seconds:.0f} s  {bounds}")
        elif progress.seconds >= _QUIET and bounds != self._printed:
            self._printed = bounds
            self._console.print(f"  {progress.seconds:.0f} s  {bounds}", highlight=False)

    def _bounds(self, progress: "Progress") -> str:
        if progress.measure == "size":
            return f"found {progress.upper:.0f} policies; at least {progress.lower:.0f} are needed"
        return (
            f"found a gap of {progress.upper:.5f} with {progress.size} policies; at least "
            f"{progress.lower:.5f} is unavoidable"
        )


def warnings(table: Evaluations, bound: "ConfidenceBound | None") -> list[str]:
    """What to know before the figures are believed.

    Args:
        bound: on the true gap; None when the evaluations do not allow one.
    """
    return [_ONE_PROMPT] if table.rewards is not None and bound is None else []


def portfolio(
    table: Evaluations, target: "Target", chosen: "Selection", bound: "ConfidenceBound | None"
) -> Group:
    """The members with their values, and what is certified."""
    members = _values(table, chosen) if len(table.traits) <= _COLUMNS else _strengths(table, chosen)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column()
    for name, text in _facts(table, target, chosen, bound):
        facts.add_row(name, Text(text))
    return Group(members, facts)


def _values(table: Evaluations, chosen: "Selection") -> Table:
    """A column per trait."""
    members = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    members.add_column("policy", overflow="fold")
    for trait in table.traits:
        members.add_column(Text(trait), justify="right")
    for index in chosen.members:
        cells = [f"{value:.3f}" for value in table.values[index]]
        members.add_row(Text(table.policies[index], "bold"), *cells)
    return members


def _strengths(table: Evaluations, chosen: "Selection") -> Table:
    """The traits on which each member is strongest, as so many columns fit no terminal."""
    members = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    members.add_column("policy", overflow="fold")
    members.add_column(f"highest of {len(table.traits)} values", overflow="fold")
    for index in chosen.members:
        best = sorted(
            zip(table.traits, table.values[index], strict=True), key=lambda item: -item[1]
        )
        text = ", ".join(f"{trait} {value:.3f}" for trait, value in best[:_SHOWN])
        members.add_row(Text(table.policies[index], "bold"), Text(text))
    return members


def _facts(
    table: Evaluations, target: "Target", chosen: "Selection", bound: "ConfidenceBound | None"
) -> list[tuple[str, str]]:
    plain = chosen.plain
    warned = warnings(table, bound)
    facts = [("warning", text) for text in warned]
    facts += [
        ("size", f"{len(chosen.members)} of {len(table.policies)} policies, {_proof(chosen)}"),
        ("certified gap", f"{plain.additive:.6f}  (additive, over every weighting)"),
        ("", _multiplicative(plain)),
    ]
    if target.epsilon or target.delta:
        facts += [("at the target", text) for text in _at_target(target, chosen.certificate)]
    weights = map(float, plain.worst_weights_additive)
    worst = weights_text(dict(zip(table.traits, weights, strict=True)), table.traits)
    if plain.additive <= _NOTHING:
        worst = "no one loses anything" + (" on this prompt" if warned else "")
    facts.append(("worst-served user", worst))
    facts.append(("computed", computation.described(plain.method, plain.corners, plain.confirmed)))
    if bound is not None:
        groups = f" in {bound.clusters} clusters" if bound.clusters else ""
        text = (
            f"{bound.bound:.6f}  (additive, true gap at {100 * bound.level:g} % confidence, "
            f"{bound.prompts} prompts{groups}, {bound.method})"
        )
        facts.append(("upper bound", text))
    elif warned:
        facts.append(("upper bound", "none: one prompt does not tell what others would give"))
    return facts


def _multiplicative(plain: "Certificate") -> str:
    if plain.multiplicative is None:
        return "(no multiplicative gap: on some trait no policy scores above 0)"
    return f"{plain.multiplicative:.6f}  (multiplicative)"


def _at_target(target: "Target", exact: "Certificate") -> list[str]:
    """The gap that is left of one kind when the target's allowance of the other is used."""
    left = []
    if target.epsilon:
        left.append(f"{exact.additive:.6f}  (additive at epsilon {target.epsilon:g})")
    if target.delta and exact.multiplicative is not None:
        left.append(f"{exact.multiplicative:.6f}  (multiplicative at delta {target.delta:g})")
    return left


def _proof(chosen: "Selection") -> str:
    # Without a target no number of members is too small, and the gap is what is proven.
    if chosen.size_lower_bound == 0:
        if chosen.optimal:
            return "proven to have the smallest gap of its size"
        return f"not proven best: a gap of {chosen.gap_lower_bound:.6f} is not ruled out"
    if chosen.optimal:
        return "proven smallest"
    return f"not proven smallest: at least {chosen.size_lower_bound} are needed"
