"""The drawings for three traits: maps of the serving member and of the gap over a triangle."""

import math

from palmfolio.report import text
from palmfolio.report.figures import colours
from palmfolio.report.figures.geometry import (
    TRIANGLE,
    Point,
    Polygon,
    area,
    bands,
    centre,
    dot,
    gap_cells,
    mean_gap,
    regions,
)
from palmfolio.report.model import Report, letter

WIDTH, HEIGHT = 560.0, 520.0
_TOP, _LEFT, _SIDE = 46.0, 40.0, 480.0
_LABEL_AREA = 0.02


def position(point: Point) -> tuple[float, float]:
    """Where a user is drawn: the first trait on top, the second left, the third right."""
    height = _SIDE * math.sqrt(3) / 2
    x = _LEFT + _SIDE * (point[0] / 2 + point[2])
    y = _TOP + height * (1 - point[0])
    return x, y


def policy_map(report: Report) -> str:
    """SVG: the triangle coloured by the member that serves each weight."""
    values = [report.vector(member.value) for member in report.members]
    shapes, labels = [], []
    for index, polygon in regions(values):
        shapes.append(
            f'<polygon class="region" fill="{colours.member(index)}" points="{_points(polygon)}"/>'
        )
        if area(polygon) > _LABEL_AREA:
            x, y = position(centre(polygon))
            labels.append(f'<text class="letter" x="{x:.1f}" y="{y:.1f}">{letter(index)}</text>')
    marks = [*_trainings(report), _worst(report)]
    return _svg("policies", "".join([*shapes, _grid(), *labels, *marks]), report)


def gap_map(report: Report) -> tuple[str, list[float], float]:
    """SVG: the gap over the triangle in bands; the levels between the bands; the mean gap."""
    candidates = [report.vector(candidate.value) for candidate in report.candidates]
    members = [report.vector(member.value) for member in report.members]
    cells = list(gap_cells(candidates, members))
    highest = max(dot(gap, corner) for gap, cell in cells for corner in cell)
    levels = nice_levels(highest)
    shapes = []
    for gap, cell in cells:
        for index, part in bands(cell, gap, levels):
            colour = colours.band(index, len(levels) - 1)
            shapes.append(f'<polygon fill="{colour}" stroke="{colour}" points="{_points(part)}"/>')
    body = f'<g class="bands">{"".join(shapes)}</g>{_grid()}{_worst(report)}'
    return _svg("gap", body, report), levels, mean_gap(cells)


def nice_levels(highest: float) -> list[float]:
    """Levels from 0 to at least `highest`, a round step apart; at most `colours.BANDS` bands."""
    if highest <= 1e-9:
        return [0.0, 1e-9]
    rough = highest / colours.BANDS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(
        factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough - 1e-15
    )
    count = math.ceil(highest / step - 1e-9)
    return [step * index for index in range(count + 1)]


def _svg(name: str, body: str, report: Report) -> str:
    corners = (
        (0, "middle", WIDTH / 2, _TOP - 18),
        (1, "start", 4.0, HEIGHT - 12),
        (2, "end", WIDTH - 4, HEIGHT - 12),
    )
    labels = "".join(
        f'<text class="corner" text-anchor="{anchor}" x="{x:.0f}" y="{y:.0f}">'
        f"{text.escape(report.traits[index])}</text>"
        for index, anchor, x, y in corners
    )
    return (
        f'<svg class="map" data-map="{name}" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img">'
        f'{body}<circle class="cursor" r="6" cx="-20" cy="-20"/>{labels}</svg>'
    )


def _grid() -> str:
    """The outline, and faint lines where a weight is 25, 50 and 75 %."""
    lines = []
    for axis in range(3):
        for share in (0.25, 0.5, 0.75):
            ends = []
            for other in range(3):
                if other != axis:
                    end = [0.0, 0.0, 0.0]
                    end[axis], end[other] = share, 1 - share
                    ends.append(position(tuple(end)))
            (x1, y1), (x2, y2) = ends
            lines.append(f"M{x1:.1f},{y1:.1f}L{x2:.1f},{y2:.1f}")
    outline = f'<polygon class="outline" points="{_points(TRIANGLE)}"/>'
    return f'<path class="grid" d="{"".join(lines)}"/>{outline}'


def _trainings(report: Report) -> list[str]:
    marks = []
    for candidate in report.candidates:
        if candidate.weights is None:
            continue
        x, y = position(report.vector(candidate.weights))
        kind = "training chosen" if candidate.selected else "training"
        title = f"trained for {text.weights(candidate.weights, report.traits)}"
        marks.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="6">'
            f"<title>{title}</title></circle>"
        )
    return marks


def _worst(report: Report) -> str:
    weights = report.worst_weights
    if weights is None:
        return ""
    x, y = position(report.vector(weights))
    title = f"worst-served user: {text.weights(weights, report.traits)}"
    return (
        f'<path class="worst" d="M{x - 8:.1f},{y - 8:.1f}l16,16m0,-16l-16,16">'
        f"<title>{title}</title></path>"
    )


def _points(polygon: Polygon) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in map(position, polygon))
