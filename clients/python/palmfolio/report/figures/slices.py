"""The drawing for more than three traits: users along lines through the space of weights.

There is one strip for every two traits, with the users who want only these two, and one strip from
the user with equal weights to the user who is served worst. Along a line every utility is linear,
so the strips are exact.
"""

import itertools
from collections.abc import Mapping, Sequence

from palmfolio.report import text
from palmfolio.report.figures import colours
from palmfolio.report.figures.geometry import dot
from palmfolio.report.figures.line import breakpoints, envelope
from palmfolio.report.model import Report, letter

MOST = 15
"""Strips for two traits at most; those with the largest gaps."""

WIDTH = 1080.0
_LEFT, _RIGHT, _STRIP, _GAP, _SPACE = 190.0, 190.0, 20.0, 26.0, 16.0
_NARROW = 0.03

Weights = tuple[float, ...]


def chart(report: Report) -> str:
    """SVG: the member that serves each user along each line, and the user's gap."""
    strips = _strips(report)
    highest = max(strip.highest for strip in strips)
    step = _STRIP + _GAP + _SPACE
    body = "".join(strip.draw(index * step, highest) for index, strip in enumerate(strips))
    return (
        f'<svg class="line slices" viewBox="0 0 {WIDTH:.0f} {step * len(strips):.0f}" role="img" '
        f'aria-label="Who serves users who want two traits, and what they lose">{body}</svg>'
    )


def note(report: Report) -> str:
    """The explanation under the drawing, in sentences."""
    d = len(report.traits)
    pairs = d * (d - 1) // 2
    which = f"the {MOST} of {pairs} pairs with the largest gaps" if pairs > MOST else "every pair"
    first = "The strips are"
    if report.worst_weights is not None:
        first = (
            "The first strip leads from the user to whom all traits are alike to the worst-served "
            "one (×); the others are"
        )
    return (
        f"{first} the users who want only two traits, for {which}. Colours say which policy "
        "serves whom; the area above is what they lose, the number its maximum."
    )


def _strips(report: Report) -> list["_Strip"]:
    d = len(report.traits)
    units = [tuple(float(i == j) for j in range(d)) for i in range(d)]
    pairs = [
        _Strip(report, units[i], units[j], report.traits[i], report.traits[j])
        for i, j in itertools.combinations(range(d), 2)
    ]
    if len(pairs) > MOST:
        pairs = sorted(pairs, key=lambda strip: -strip.highest)[:MOST]
    if report.worst_weights is None:
        return pairs
    worst = report.vector(report.worst_weights)
    towards = _Strip(report, (1 / d,) * d, worst, "all alike", "worst-served")
    return [towards, *pairs]


class _Strip:
    """The users (1 − s)·first + s·last, s in [0, 1]."""

    def __init__(
        self, report: Report, first: Weights, last: Weights, left: str, right: str
    ) -> None:
        self._labels = (left, right)
        self._members = _ends(report, [m.value for m in report.members], first, last)
        candidates = _ends(report, [c.value for c in report.candidates], first, last)
        self._gaps = [
            (share, max(0.0, envelope(candidates, share)[0] - envelope(self._members, share)[0]))
            for share in sorted({*breakpoints(candidates), *breakpoints(self._members)})
        ]
        self._marks_worst = report.worst_weights is not None and last == report.vector(
            report.worst_weights
        )

    @property
    def highest(self) -> float:
        """The largest gap; between two breakpoints it is linear."""
        return max(gap for _, gap in self._gaps)

    def draw(self, top: float, scale: float) -> str:
        """The strip at a height of the page, with gaps up to `scale` above it."""
        base = top + _GAP
        height = max(scale, 1e-9)
        curve = [(share, base - (_GAP - 4) * gap / height) for share, gap in self._gaps]
        area = " ".join(f"{_x(share):.1f},{y:.1f}" for share, y in [(0, base), *curve, (1, base)])
        middle = base + _STRIP / 2 + 5
        left, right = (text.escape(label) for label in self._labels)
        return (
            f'<polygon class="gap-area" points="{area}"/>{self._served(base)}'
            f'<text class="corner" text-anchor="end" x="{_LEFT - 12}" y="{middle:.1f}">'
            f"{left}</text>"
            f'<text class="corner" x="{WIDTH - _RIGHT + 20}" y="{middle:.1f}">{right}</text>'
            f'<text class="tick" x="{WIDTH - 8}" text-anchor="end" y="{middle:.1f}">'
            f"{text.number(self.highest)}</text>{self._mark(base + _STRIP / 2)}"
        )

    def _served(self, y: float) -> str:
        shapes = []
        for low, high in itertools.pairwise(breakpoints(self._members)):
            index = envelope(self._members, (low + high) / 2)[1]
            shapes.append((index, low, high))
        joined = _join(shapes)
        return "".join(
            f'<rect x="{_x(low):.1f}" y="{y:.1f}" width="{_x(high) - _x(low):.1f}" '
            f'height="{_STRIP:.0f}" fill="{colours.member(index)}">'
            f"<title>{letter(index)}</title></rect>"
            + (
                f'<text class="letter" text-anchor="middle" x="{_x((low + high) / 2):.1f}" '
                f'y="{y + _STRIP / 2:.1f}">{letter(index)}</text>'
                if high - low > _NARROW
                else ""
            )
            for index, low, high in joined
        )

    def _mark(self, y: float) -> str:
        if not self._marks_worst:
            return ""
        x = WIDTH - _RIGHT
        return f'<path class="worst" d="M{x - 7:.1f},{y - 7:.1f}l14,14m0,-14l-14,14"/>'


def _ends(
    report: Report, values: Sequence[Mapping[str, float]], first: Weights, last: Weights
) -> list[tuple[float, ...]]:
    """Each policy's utility at both ends of a line."""
    vectors = [report.vector(value) for value in values]
    return [(dot(vector, first), dot(vector, last)) for vector in vectors]


def _join(shapes: Sequence[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    """Neighbouring stretches of the same member as one."""
    joined: list[tuple[int, float, float]] = []
    for index, low, high in shapes:
        if joined and joined[-1][0] == index:
            joined[-1] = (index, joined[-1][1], high)
        else:
            joined.append((index, low, high))
    return joined


def _x(share: float) -> float:
    return _LEFT + share * (WIDTH - _LEFT - _RIGHT)
