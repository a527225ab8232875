"""The drawing for more than three traits: a line per policy across one axis per trait."""

from palmfolio.report import text
from palmfolio.report.figures import colours
from palmfolio.report.model import Report

WIDTH, HEIGHT = 1080.0, 420.0
_SIDE, _TOP, _BOTTOM = 70.0, 40.0, 40.0


def chart(report: Report) -> str:
    """SVG: the value of every candidate on every trait; members in their colours."""
    values = [report.vector(candidate.value) for candidate in report.candidates]
    low = min(min(value) for value in values)
    high = max(max(value) for value in values)
    spread = max(high - low, 1e-9)
    count = len(report.traits)
    xs = [_SIDE + (WIDTH - 2 * _SIDE) * index / (count - 1) for index in range(count)]

    def y(value: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (high - value) / spread

    members = {member.policy: index for index, member in enumerate(report.members)}
    lines: list[str] = []
    # Members are drawn last, over the others.
    for candidate in sorted(report.candidates, key=lambda item: item.selected):
        points = " ".join(
            f"{x:.1f},{y(value):.1f}"
            for x, value in zip(xs, report.vector(candidate.value), strict=True)
        )
        index = members.get(candidate.policy)
        style = f'style="stroke:{colours.member(index)}"' if index is not None else ""
        kind = "policy chosen" if index is not None else "policy"
        title = f"<title>{text.escape(report.label(candidate.policy))}</title>"
        # Colours repeat after some members; dashes tell those apart.
        if index is not None and index >= len(colours.MEMBERS):
            kind += " again"
        lines.append(f'<polyline class="{kind}" {style} points="{points}">{title}</polyline>')
    axes = "".join(
        f'<path class="axis" d="M{x:.1f},{_TOP}V{HEIGHT - _BOTTOM}"/>'
        f'<text class="corner" text-anchor="middle" x="{x:.1f}" y="{HEIGHT - 14}">'
        f"{text.escape(trait)}</text>"
        for x, trait in zip(xs, report.traits, strict=True)
    )
    ticks = "".join(
        f'<text class="tick" text-anchor="end" x="{_SIDE - 10}" y="{y(value) + 4:.1f}">'
        f"{text.number(value, 2)}</text>"
        for value in (low, high)
    )
    return (
        f'<svg class="line" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" '
        f'aria-label="Value of each policy on each trait">{axes}{ticks}{"".join(lines)}</svg>'
    )
