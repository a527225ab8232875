"""The last part of the page: the grounds of the figures, and the time of each stage."""

from collections.abc import Mapping

from palmfolio.report import computation, confidence, coverage, text, trainable
from palmfolio.report.model import Report, short
from palmfolio.types import Certificate


def section(report: Report) -> str:
    """The target, the complete certificate, failed trainings, and the time of each stage."""
    spec, certificate = report.portfolio.spec, report.certificate
    facts = [
        ("Additive gap at ε = 0", text.number(certificate.gap, 4)),
        ("Multiplicative gap at δ = 0", _pure_ratio(certificate)),
        ("Target", f"ε = {spec.epsilon:g}, δ = {spec.delta:g}"),
        ("Additive gap at that ε", text.number(certificate.additive, 4)),
        ("Multiplicative gap at that δ", text.number(certificate.multiplicative, 4)),
        *_bound(report),
        *_trainable(report),
        (
            "Computed",
            computation.described(
                certificate.method, certificate.corner_weights, certificate.confirmed
            ),
        ),
        *(
            (name.capitalize(), value)
            for name, value in coverage.described(report.portfolio.coverage)
        ),
        ("Members allowed", str(spec.max_size or "as many as needed")),
        ("Trait versions", ", ".join(sorted(set(report.portfolio.trait_versions.values()))) or "–"),
    ]
    facts += [
        (f"Failed training: {text.weights(failed.weights, report.traits)}", _why(failed.error))
        for failed in report.portfolio.failed_trainings
    ]
    notes = "".join(f"<p class=note>{text.escape(note)}</p>" for note in _notes(report))
    rows = "".join(
        f"<dt>{name}</dt><dd>{value if name.startswith('Failed') else text.escape(value)}</dd>"
        for name, value in facts
    )
    return (
        f"<section class='card made'><div><h2>The certificate</h2><p class=note>With U(w) the best "
        f"candidate's and L(w) the best member's weighted value, the additive gap is the largest "
        f"(1−ε)·U(w) − L(w). Both are piecewise linear, so checking the corners is exact: no user "
        f"is sampled.</p>{notes}<dl>{rows}</dl></div>{_times(report.seconds)}</section>"
    )


def _pure_ratio(certificate: Certificate) -> str:
    gap = certificate.multiplicative_gap
    return "–" if gap is None else text.number(gap, 4)


def _notes(report: Report) -> list[str]:
    """The meaning of the bounds that the portfolio has."""
    bound, outer = report.portfolio.confidence, report.portfolio.trainable
    notes = [] if bound is None else [confidence.explanation(bound)]
    return notes if outer is None else [*notes, trainable.explanation(outer)]


def _bound(report: Report) -> list[tuple[str, str]]:
    bound = report.portfolio.confidence
    if bound is None:
        return [("True gap", confidence.UNKNOWN)]
    return [
        (
            f"True gap, {confidence.level(bound)} confidence",
            f"at most {text.number(min(bound.gap, 1.0), 4)} (ε = 0)",
        ),
        ("Which rests on", f"{bound.prompts} prompts, {confidence.method(bound)}"),
    ]


def _trainable(report: Report) -> list[tuple[str, str]]:
    bound = report.portfolio.trainable
    if bound is None:
        return []
    epsilon = report.portfolio.spec.epsilon
    at_most = f"at most {text.number(bound.gap, 4)} (ε = {epsilon:g}), {trainable.grounds(bound)}"
    refuted = [
        (
            f"Refuted: {short(refutation.policy)}",
            f"by {short(refutation.better_policy)}, by {text.percent(refutation.shortfall)}",
        )
        for refutation in bound.refutations
    ]
    return [("Gap against everything trainable", at_most), *refuted]


def _why(error: object) -> str:
    return text.escape(str(getattr(error, "message", "") or "no reason was given"))


def _times(seconds: Mapping[str, float]) -> str:
    stages = {stage: value for stage, value in seconds.items() if stage != "total"}
    if not stages:
        return ""
    longest = max(*stages.values(), 1e-9)
    bars = "".join(
        f"<div class=bar><span>{text.escape(stage)}</span>"
        f'<i><b style="width:{100 * value / longest:.1f}%"></b></i>'
        f"<em>{text.duration(value)}</em></div>"
        for stage, value in stages.items()
    )
    total = seconds.get("total", sum(stages.values()))
    return (
        f"<div><h2>Where the time went</h2><p class=note>{text.duration(total)} in all.</p>"
        f"<div class='bars times'>{bars}</div></div>"
    )
