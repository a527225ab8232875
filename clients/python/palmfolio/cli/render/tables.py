"""Tables for people."""

import math
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from palmfolio import types
from palmfolio._names import resource_id
from palmfolio.report import computation, confidence, coverage, trainable
from palmfolio.report.model import Report, short

NO_RATIO = "(no multiplicative gap: some weighting gets nothing from any candidate)"


def weights_text(weights: Mapping[str, float] | None, traits: Sequence[str] = ()) -> str:
    """Weights as whole percent, without those that round to 0."""
    if weights is None:
        return "–"
    order = traits or list(weights)
    parts = [
        f"{trait} {round(100 * weights.get(trait, 0.0))}%"
        for trait in order
        if weights.get(trait, 0.0) >= 0.005
    ]
    return ", ".join(parts) or "no weights"


def portfolio(report: Report) -> Table:
    """Every candidate with its value per trait, followed by the change against the base model."""
    grid = new_table("", "policy", "trained for")
    for trait in report.traits:
        grid.add_column(trait, justify="right")
    base = report.base_model
    for candidate in report.candidates:
        origin = (
            "base model, unchanged"
            if candidate.is_base_model
            else weights_text(candidate.weights, report.traits)
        )
        label = report.label(candidate.policy) if candidate.selected else ""
        cells = [_value(candidate, base, trait) for trait in report.traits]
        grid.add_row(
            Text(label, "bold"),
            short(candidate.policy),
            origin,
            *cells,
            style="" if candidate.selected else "dim",
        )
    return grid


def _value(candidate: types.Candidate, base: types.Candidate | None, trait: str) -> Text:
    value = candidate.value.get(trait, 0.0)
    text = Text(f"{value:.3f}")
    if base is not None and not candidate.is_base_model:
        change = value - base.value.get(trait, 0.0)
        style = "green" if change >= 0.005 else "red" if change <= -0.005 else "dim"
        text.append(f" {change:+.2f}", style)
    else:
        text.append("      ")
    return text


def certificate(report: Report) -> Table:
    """The certified gap, and the gaps of simpler choices."""
    exact, baselines = report.certificate, report.baselines
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    worst = weights_text(report.worst_weights, report.traits)
    rows = [
        ("certified gap", f"{exact.gap:.4f}  (additive, exact over every weighting)"),
        *_multiplicative(exact),
        ("computed", computation.described(exact.method, exact.corner_weights, exact.confirmed)),
        *_true_gap(report.portfolio.confidence),
        *_trainable(report.portfolio.trainable),
        ("worst-served user", worst),
        ("best single policy", f"{baselines.best_single_policy:.4f}"),
        ("base model", _gap(baselines.base_model)),
        ("members", f"{len(report.members)} of {len(report.candidates)} candidates"),
        *coverage.described(report.portfolio.coverage),
    ]
    for name, value in rows:
        grid.add_row(name, value)
    return grid


def _multiplicative(exact: types.Certificate) -> list[tuple[str, str]]:
    """The multiplicative gap at delta 0, where it has a meaning."""
    if exact.multiplicative_gap is None:
        # A certificate that an earlier version stored has no method, and no such gap.
        return [("", NO_RATIO)] if exact.method else []
    return [("", f"{exact.multiplicative_gap:.4f}  (multiplicative)")]


def _true_gap(bound: types.ConfidenceBound | None) -> list[tuple[str, str]]:
    if bound is None:
        return [("true gap", confidence.UNKNOWN)]
    grounds = f"{confidence.prompts(bound)}, {confidence.method(bound)}"
    if not confidence.says_something(bound):
        return [("true gap", f"not bounded at {confidence.level(bound)} confidence  ({grounds})")]
    return [("true gap", f"≤ {bound.gap:.4f} at {confidence.level(bound)} confidence  ({grounds})")]


def _trainable(bound: types.TrainableBound | None) -> list[tuple[str, str]]:
    if bound is None:
        return []
    rows = [("all trainable", f"≤ {bound.gap:.4f} {trainable.grounds(bound)}")]
    if bound.refutations:
        rows.append(("", f"{len(bound.refutations)} of them refuted: the assumption fails there"))
    return rows


def _gap(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "– (no candidate)"


def answers(report: Report) -> Table:
    """The answers that users get to the same prompts, side by side."""
    grid = Table(box=box.ROUNDED, show_lines=True, expand=True, padding=(0, 1))
    grid.add_column("asked", ratio=2, overflow="fold")
    for user in report.users:
        wanted = weights_text(user.weights, report.traits)
        label = report.label(user.policy)
        head = Text.assemble((user.label, "bold"), f" → policy {label}\n", (wanted, "dim"))
        grid.add_column(head, ratio=3, overflow="fold")
    for index, first in enumerate(report.users[0].answers if report.users else ()):
        replies = [Text(user.answers[index].text.strip() or "–") for user in report.users]
        grid.add_row(Text(first.prompt, "bold"), *replies)
    return grid


def portfolios(items: Iterable[types.Portfolio]) -> Table:
    """Portfolios, one a row."""
    grid = new_table("portfolio", "state", "members", "candidates", "gap", "traits")
    for item in items:
        gap = f"{item.certificate.gap:.4f}" if item.certificate else "–"
        grid.add_row(
            resource_id(item.name),
            item.state,
            str(len(item.members)),
            str(len(item.candidates)),
            gap,
            ", ".join(item.spec.traits),
        )
    return grid


def policies(items: Iterable[types.Policy]) -> Table:
    """Policies, one a row."""
    grid = new_table("policy", "state", "base model", "trained for")
    for item in items:
        origin = "base model, unchanged" if item.is_base_model else weights_text(item.spec.weights)
        grid.add_row(resource_id(item.name), item.state, item.spec.base_model, origin)
    return grid


def traits(items: Iterable[types.Trait]) -> Table:
    """Traits, one a row."""
    grid = new_table("trait", "kind", "normalisation", "version", "description")
    for item in items:
        description = Text(item.description)
        if item.failure:
            description.append(f" cannot be scored: {item.failure}", "red")
        grid.add_row(item.name, item.kind, item.normalisation, item.version[:12], description)
    return grid


def evaluations(items: Iterable[types.Evaluation]) -> Table:
    """Stored rewards, one response and trait a row."""
    grid = new_table("policy", "prompt", "sample", "trait", "version", "source")
    grid.add_column("reward", justify="right")
    for item in items:
        reward = Text(item.failure, "red") if item.failure else Text(f"{item.normalised:.3f}")
        grid.add_row(
            resource_id(item.policy),
            Text(" ".join(str(item.prompt or "").split())[:60]),
            str(item.sample),
            item.trait,
            item.trait_version[:12],
            item.source or "builds",
            reward,
        )
    return grid


def evaluation_import(imported: types.EvaluationImport) -> Table:
    """The counts of an import, and the prompt set to select with."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row("rows", f"{imported.rows:,}")
    grid.add_row("policies", f"{imported.policies:,}")
    grid.add_row("prompt set", imported.prompt_set or "none: the rows have no prompts")
    return grid


def rewards(samples: Sequence[types.Sample], scored: types.Rewards) -> Table:
    """One sample a row: its normalised reward per trait, followed by the raw reward."""
    grid = new_table("response")
    for trait in scored.traits:
        grid.add_column(trait, justify="right")
    rows = zip(samples, scored.normalised, scored.raw, scored.statuses, strict=True)
    for sample, normalised, raw, status in rows:
        response = Text(" ".join(sample.response.split())[:60])
        if status.failure is not None:
            response.append(f"\n{status.failure.message}", "red")
        for trait, tokens in status.cut_tokens.items():
            response.append(f"\n{trait}: {tokens:,} tokens cut off", "yellow")
        cells = [
            Text.assemble(f"{value:.3f}", (f" ({given:.3g})", "dim"))
            for value, given in zip(normalised, raw, strict=True)
        ]
        grid.add_row(response, *cells)
    return grid


def route(routed: types.Route) -> Table:
    """The member that serves some weights."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row("policy", Text(routed.policy, "bold"))
    grid.add_row("for", weights_text(routed.weights))
    grid.add_row("utility", f"{routed.utility:.4f}")
    grid.add_row("gap", f"{routed.gap:.4f}  (to the best candidate for these weights)")
    values = ", ".join(f"{trait} {value:.3f}" for trait, value in sorted(routed.value.items()))
    grid.add_row("value", values)
    grid.add_row("adapter", routed.adapter or "none: the base model itself")
    return grid


def new_table(*columns: str) -> Table:
    """An empty table with these columns; long cells continue on the next line."""
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    return grid
