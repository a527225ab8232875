"""Tables for people: plans, certificates and trade-off curves."""

import math
from collections.abc import Iterable

from rich import box
from rich.table import Table

from palmfolio import types
from palmfolio.cli.render.tables import NO_RATIO, weights_text
from palmfolio.report import computation, confidence
from palmfolio.report.model import short


def plan(planned: types.Plan) -> Table:
    """The trainings of a planned build, and its guarantee."""
    grid = _grid()
    grid.add_row("trainings", f"{planned.trainings:,} (allowed: {planned.trainings_allowed:,})")
    grid.add_row("made already", f"{planned.trainings_reused:,}")
    grid.add_row("responses", f"{planned.responses:,} at most")
    guarantee = planned.guarantee
    promised = "none beforehand; the build reports the gap that it reached"
    if guarantee is not None:
        promised = f"epsilon {guarantee.epsilon:.4f}, delta {guarantee.delta:.4f}"
        # Rewards lie in [0, 1], so every gap is at most 1.
        if guarantee.prompt_error < 1.0:
            promised += f", and {guarantee.prompt_error:.4f} more for finitely many prompts"
        else:
            promised += (
                " for the measured prompts; too few prompts to guarantee anything for others"
            )
    grid.add_row("guarantee", promised)
    for number, weights in enumerate(planned.weights[:10], 1):
        grid.add_row(f"training {number}", weights_text(weights))
    if len(planned.weights) > 10:
        grid.add_row("", f"and {len(planned.weights) - 10:,} more; --json lists them")
    return grid


def certification(certified: types.Certification) -> Table:
    """The gaps of a certified portfolio."""
    certificate, bound = certified.certificate, certified.confidence
    grid = _grid()
    # Both pure gaps come first: a gap at an epsilon or a delta is smaller by what these allow.
    grid.add_row("additive gap", f"{certificate.gap:.6f}")
    if certificate.multiplicative_gap is not None:
        grid.add_row("multiplicative gap", f"{certificate.multiplicative_gap:.6f}")
    elif certificate.method:
        grid.add_row("multiplicative gap", NO_RATIO)
    if certificate.epsilon:
        gap = f"{certificate.additive:.6f}  at epsilon {certificate.epsilon:g}"
        grid.add_row("additive gap", gap)
    if certificate.delta and math.isfinite(certificate.multiplicative):
        gap = f"{certificate.multiplicative:.6f}  at delta {certificate.delta:g}"
        grid.add_row("multiplicative gap", gap)
    grid.add_row("worst-served user", _user(certificate.worst_weights))
    grid.add_row(
        "computed",
        computation.described(
            certificate.method, certificate.corner_weights, certificate.confirmed
        ),
    )
    if bound is not None:
        grid.add_row(
            "upper bound",
            f"{bound.gap:.6f}  (true gap at {100 * bound.level:g} % confidence, "
            f"{confidence.prompts(bound)}, {bound.method})",
        )
    else:
        grid.add_row("upper bound", confidence.UNKNOWN)
    return grid


def tradeoff(points: Iterable[types.TradeoffPoint]) -> Table:
    """The smallest gap by size."""
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ("size", "gap", "multiplicative", "at least", "worst-served user", "policies")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for point in points:
        ratio = point.multiplicative_gap
        grid.add_row(
            str(point.size),
            f"{point.gap:.5f}",
            "–" if ratio is None else f"{ratio:.5f}",
            "proven" if point.optimal else f"{point.gap_lower_bound:.5f}",
            _user(point.worst_weights),
            ", ".join(short(policy) for policy in point.policies),
        )
    return grid


def _user(weights: types.Weights) -> str:
    """Weights with the heaviest trait first: a map in a message has no order of its own."""
    return weights_text(dict(sorted(weights.items(), key=lambda item: (-item[1], item[0]))))


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    return grid
