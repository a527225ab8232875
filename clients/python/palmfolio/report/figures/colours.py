"""Colours of the report, for light and dark pages."""

MEMBERS = (
    ("#3d6fd6", "#6d9bff"),
    ("#dd7a2f", "#f39a52"),
    ("#2a9a74", "#43c79a"),
    ("#a650bd", "#cf86e3"),
    ("#b8901a", "#e0ba45"),
    ("#cc4358", "#f2748a"),
    ("#5c8d27", "#93c659"),
    ("#5d6b7a", "#9aa9ba"),
)
"""(light, dark) by member; more members start over."""

BANDS = 10
"""Steps of the gap's scale, at most."""

_GAP_LIGHT = ("#f4efe6", "#f0b166", "#c2415a", "#6a1b4d")
_GAP_DARK = ("#262a33", "#6b2f57", "#d2544f", "#ffc07a")


def rules() -> str:
    """CSS rules: `--m0 …` for the members, `--g0 …` for the gap's bands, light and dark."""
    return f":root{{{_variables(0)}}}@media(prefers-color-scheme:dark){{:root{{{_variables(1)}}}}}"


def member(index: int) -> str:
    """The CSS value of a member's colour."""
    return f"var(--m{index % len(MEMBERS)})"


def band(index: int, count: int) -> str:
    """The CSS value of band `index` of `count`, spread over the whole scale."""
    position = 0 if count <= 1 else round(index * (BANDS - 1) / (count - 1))
    return f"var(--g{position})"


def _variables(scheme: int) -> str:
    members = [f"--m{index}:{pair[scheme]}" for index, pair in enumerate(MEMBERS)]
    stops = (_GAP_LIGHT, _GAP_DARK)[scheme]
    gaps = [f"--g{index}:{_blend(stops, index / (BANDS - 1))}" for index in range(BANDS)]
    return ";".join([*members, *gaps])


def _blend(stops: tuple[str, ...], share: float) -> str:
    position = share * (len(stops) - 1)
    index = min(int(position), len(stops) - 2)
    left, right = _rgb(stops[index]), _rgb(stops[index + 1])
    part = position - index
    mixed = (round(a + part * (b - a)) for a, b in zip(left, right, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))
