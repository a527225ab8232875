"""The drawing for two traits: utility and gap of every user, who is a point of a line."""

import itertools
from collections.abc import Sequence

from palmfolio.report import text
from palmfolio.report.figures import colours
from palmfolio.report.figures.geometry import dot
from palmfolio.report.model import Report, letter

WIDTH, HEIGHT = 1080.0, 420.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 24.0, 24.0, 64.0
_STRIP = 14.0

Curve = list[tuple[float, float]]


def chart(report: Report) -> str:
    """SVG: the best candidate's and the best member's utility; between them lies the gap."""
    candidates = [report.vector(candidate.value) for candidate in report.candidates]
    members = [report.vector(member.value) for member in report.members]
    shares = sorted({*breakpoints(candidates), *breakpoints(members)})
    best = [(share, envelope(candidates, share)[0]) for share in shares]
    served = [(share, envelope(members, share)[0]) for share in shares]
    utilities = [utility for _, utility in [*best, *served]]
    low, high = min(utilities), max(utilities)
    margin = max(0.02, 0.08 * (high - low))
    frame = _Frame(low - margin, high + margin)
    body = [
        frame.axes(),
        f'<polygon class="gap-area" points="{frame.points([*best, *reversed(served)])}"/>',
        f'<polyline class="utility best" points="{frame.points(best)}"/>',
        f'<polyline class="utility" points="{frame.points(served)}"/>',
        *_strip(members, frame),
        *_marks(report, frame),
        *_ends(report),
    ]
    label = "Utility of the best candidate and of the portfolio for every user"
    return (
        f'<svg class="line" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" '
        f'aria-label="{label}">{"".join(body)}</svg>'
    )


class _Frame:
    """Converts (weight of the second trait, utility) to positions on the page."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def x(self, share: float) -> float:
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, utility: float) -> float:
        height = HEIGHT - _TOP - _BOTTOM
        return _TOP + height * (self.high - utility) / (self.high - self.low)

    def points(self, curve: Curve) -> str:
        return " ".join(f"{self.x(share):.1f},{self.y(value):.1f}" for share, value in curve)

    def axes(self) -> str:
        lines = []
        for step in range(5):
            utility = self.low + (self.high - self.low) * step / 4
            y = self.y(utility)
            lines.append(f'<path class="grid" d="M{_LEFT},{y:.1f}H{WIDTH - _RIGHT}"/>')
            lines.append(
                f'<text class="tick" text-anchor="end" x="{_LEFT - 10}" y="{y + 4:.1f}">'
                f"{text.number(utility, 2)}</text>"
            )
        return "".join(lines)


def envelope(values: Sequence[tuple[float, ...]], share: float) -> tuple[float, int]:
    """The largest utility at a weight of the second trait, and the index of its policy."""
    weights = (1 - share, share)
    index = max(range(len(values)), key=lambda position: dot(values[position], weights))
    return dot(values[index], weights), index


def breakpoints(values: Sequence[tuple[float, ...]]) -> list[float]:
    """Shares, from 0 to 1, between which the largest utility is a straight line."""
    # Lines by slope: each is part of the upper envelope from where it overtakes the line before it.
    lines = sorted({(second - first, first) for first, second in values})
    hull: list[tuple[float, float, float]] = []
    for slope, start in lines:
        since = 0.0
        while hull:
            last_slope, last_start, last_since = hull[-1]
            if slope > last_slope:
                since = (last_start - start) / (slope - last_slope)
                if since > last_since:
                    break
            hull.pop()
            since = 0.0
        if since < 1.0:
            hull.append((slope, start, since))
    return sorted({0.0, 1.0, *(since for _, _, since in hull)})


def _strip(members: list[tuple[float, ...]], frame: _Frame) -> list[str]:
    """A strip under the chart, coloured by the member that serves each weight."""
    shares = breakpoints(members)
    y = HEIGHT - _BOTTOM + 8
    shapes = []
    for left, right in itertools.pairwise(shares):
        index = envelope(members, (left + right) / 2)[1]
        x1, x2 = frame.x(left), frame.x(right)
        shapes.append(
            f'<rect x="{x1:.1f}" y="{y:.0f}" width="{x2 - x1:.1f}" height="{_STRIP:.0f}" '
            f'fill="{colours.member(index)}"><title>{letter(index)}</title></rect>'
        )
    return shapes


def _marks(report: Report, frame: _Frame) -> list[str]:
    y = HEIGHT - _BOTTOM + 8 + _STRIP / 2
    marks = []
    for candidate in report.candidates:
        if candidate.weights is not None:
            kind = "training chosen" if candidate.selected else "training"
            x = frame.x(report.vector(candidate.weights)[1])
            marks.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
    if report.worst_weights is not None:
        x = frame.x(report.vector(report.worst_weights)[1])
        marks.append(f'<path class="worst" d="M{x - 7:.1f},{y - 7:.1f}l14,14m0,-14l-14,14"/>')
    return marks


def _ends(report: Report) -> list[str]:
    y = HEIGHT - 12
    first, second = (text.escape(trait) for trait in report.traits)
    return [
        f'<text class="corner" x="{_LEFT}" y="{y}">only {first}</text>',
        f'<text class="corner" text-anchor="end" x="{WIDTH - _RIGHT}" y="{y}">only {second}</text>',
    ]
