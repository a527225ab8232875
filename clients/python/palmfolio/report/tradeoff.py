"""The smallest gap of every portfolio size: what another member would buy."""

from palmfolio.report import text
from palmfolio.report.figures.triangle import nice_levels
from palmfolio.report.model import Report
from palmfolio.types import Portfolio, TradeoffPoint

WIDTH, HEIGHT = 1080.0, 380.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 24.0, 28.0, 64.0
_TARGET_LABEL = 110.0
_LABELS = 7

SECONDS = 30.0
"""Time to ask for, for all sizes together; a size that takes longer is left unproven."""

_LEAST, _MOST = 8, 64


def largest_size(portfolio: Portfolio) -> int:
    """The largest size of the curve: past the portfolio's own, as far as the selector allows."""
    return min(_MOST, max(_LEAST, len(portfolio.members) + 2))


def target(report: Report) -> float | None:
    """The delta that the gap had to meet; None when there is nothing to draw.

    That is so without a target, and at an epsilon above 0: the delta then bounds the gap at that
    epsilon, and the drawing shows the gap at epsilon 0.
    """
    spec = report.portfolio.spec
    return spec.delta if spec.delta > 0 and spec.epsilon == 0 else None


def chart(report: Report) -> str:
    """SVG: the gap by size, the proven lower bounds, the portfolio and its target."""
    frame = _Frame(report)
    curve = " ".join(f"{frame.x(p.size):.1f},{frame.y(p.gap):.1f}" for p in report.tradeoff)
    body = [
        frame.axes(),
        _target(frame),
        f'<polyline class="curve" points="{curve}"/>',
        *(_point(point, frame) for point in report.tradeoff),
        _chosen(report, frame),
    ]
    return (
        f'<svg class="line tradeoff" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" '
        f'aria-label="Smallest gap by number of members">{"".join(body)}</svg>'
    )


class _Frame:
    """Converts (size, gap) to positions on the page."""

    def __init__(self, report: Report) -> None:
        self.target = wanted = target(report)
        self.chosen = len(report.members)
        self.sizes = sorted({*(point.size for point in report.tradeoff), self.chosen})
        gaps = [point.gap for point in report.tradeoff]
        self.levels = nice_levels(max(*gaps, report.certificate.gap, wanted or 0.0))
        self.right = WIDTH - (_RIGHT if wanted is None else _TARGET_LABEL)

    def x(self, size: int) -> float:
        first, last = self.sizes[0], self.sizes[-1]
        return _LEFT + (self.right - _LEFT) * (size - first + 0.5) / (last - first + 1)

    def y(self, gap: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - gap / self.levels[-1])

    def above(self, gap: float) -> float:
        """The baseline of a label above a point, clear of the target's line."""
        baseline = self.y(gap) - 9
        if self.target is not None and abs(self.y(self.target) - baseline + 5) < 11:
            return self.y(self.target) - 7
        return baseline

    def axes(self) -> str:
        """A line per round gap, every second one where there are many, and the sizes below."""
        shown = self.levels[:: 2 if len(self.levels) > _LABELS else 1]
        digits = 3 if self.levels[-1] < 0.1 else 2
        lines = [
            f'<path class="grid" d="M{_LEFT},{self.y(gap):.1f}H{self.right}"/>'
            f'<text class="tick" text-anchor="end" x="{_LEFT - 10}" y="{self.y(gap) + 4:.1f}">'
            f"{text.number(gap, digits)}</text>"
            for gap in shown
        ]
        for size in self.sizes:
            kind = "corner chosen" if size == self.chosen else "corner"
            name = f"{size} member{'' if size == 1 else 's'}" if len(self.sizes) <= 8 else size
            lines.append(
                f'<text class="{kind}" text-anchor="middle" x="{self.x(size):.1f}" '
                f'y="{HEIGHT - _BOTTOM + 28}">{name}</text>'
            )
        lines.append(
            f'<text class="corner chosen" text-anchor="middle" x="{self.x(self.chosen):.1f}" '
            f'y="{HEIGHT - _BOTTOM + 48}">this portfolio</text>'
        )
        return "".join(lines)


def _point(point: TradeoffPoint, frame: _Frame) -> str:
    """The gap that was found; a whisker down to what is proven, where that is less."""
    x, y = frame.x(point.size), frame.y(point.gap)
    gap = text.number(point.gap, 4)
    ratio = point.multiplicative_gap
    both = "" if ratio is None else f", multiplicative {text.number(ratio, 4)}"
    whisker, kind, proof = "", "size proven", "proven to be the smallest"
    if not point.optimal:
        bound = frame.y(point.gap_lower_bound)
        whisker = f'<path class="whisker" d="M{x:.1f},{y:.1f}V{bound:.1f}m-8,0h16"/>'
        kind, proof = "size", f"no less than {text.number(point.gap_lower_bound, 4)} is possible"
    return (
        f'<g>{whisker}<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
        f'<text class="gap" x="{x + 12:.1f}" y="{frame.above(point.gap):.1f}">'
        f"{text.number(point.gap)}</text>"
        f"<title>{point.size}: gap {gap}{both}, {proof}</title></g>"
    )


def _chosen(report: Report, frame: _Frame) -> str:
    gap = report.certificate.gap
    x, y = frame.x(frame.chosen), frame.y(gap)
    return (
        f'<circle class="chosen" cx="{x:.1f}" cy="{y:.1f}" r="11">'
        f"<title>this portfolio: gap {text.number(gap, 4)}</title></circle>"
    )


def _target(frame: _Frame) -> str:
    if frame.target is None:
        return ""
    y = frame.y(frame.target)
    return (
        f'<path class="target" d="M{_LEFT},{y:.1f}H{frame.right}"/>'
        f'<text class="gap" x="{frame.right + 8}" y="{y + 5:.1f}">target {frame.target:g}</text>'
    )
