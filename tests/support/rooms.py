"""Imports between the rooms of a package, and between the distributions of the repository.

A room is a module or a folder on the first level below a package. An arrow is a pair of rooms of
which the first imports the second, however many import statements do so. Imports are read from the
syntax trees: nothing is executed, and imports within functions and `if TYPE_CHECKING` count.
"""

import ast
import subprocess
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Every distribution of the repository, with the folder that holds its code.
DISTRIBUTIONS = {
    "palmfolio_palm": ROOT / "palm/palmfolio_palm",
    "palmfolio": ROOT / "clients/python/palmfolio",
    "palmfolio_runtime": ROOT / "services/runtime/palmfolio_runtime",
    "palmfolio_scorer": ROOT / "services/scorer/palmfolio_scorer",
    "palmfolio_trainer": ROOT / "services/trainer/palmfolio_trainer",
    "palmfolio_selector": ROOT / "services/selector/palmfolio_selector",
}
SERVICES = ("palmfolio_scorer", "palmfolio_trainer", "palmfolio_selector")
GENERATED = "clients/python/palmfolio/v1/"
# The protocol's code is common ground: everything may import it, it is not a room.
PROTOCOL = "palmfolio.v1"

Arrows = Mapping[tuple[str, str], set[str]]


def tracked_files(pattern: str) -> list[str]:
    """The paths of the repository's files that match a git pattern, relative to the root."""
    # Files that are not added yet are part of the house, too.
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", pattern]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(path for path in set(listed.stdout.splitlines()) if (ROOT / path).is_file())


def python_files() -> list[str]:
    """The repository's Python files without generated code."""
    return [path for path in tracked_files("*.py") if not path.startswith(GENERATED)]


def imported_modules(file: Path) -> Iterator[str]:
    """The full names that a file imports: `a.b.c` for `from a.b import c`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def arrows_between_rooms(package: str) -> Arrows:
    """The arrows between the rooms of a distribution, with the files that draw each."""
    folder = DISTRIBUTIONS[package]
    rooms = {path.name.removesuffix(".py") for path in folder.iterdir()}
    arrows: dict[tuple[str, str], set[str]] = {}
    for file in sorted(folder.rglob("*.py")):
        path = file.relative_to(folder)
        here = path.parts[0].removesuffix(".py")
        for module in imported_modules(file):
            parts = module.split(".")
            if parts[0] != package or len(parts) < 2:
                continue
            # What the package itself offers, such as `from palmfolio import Client`, is not a room.
            there = parts[1] if parts[1] in rooms else "__init__"
            if there != here:
                arrows.setdefault((here, there), set()).add(str(path))
    return arrows


def arrows_between_distributions() -> Arrows:
    """The arrows between the distributions and `benchmarks`, with the files that draw each."""
    folders = {**DISTRIBUTIONS, "benchmarks": ROOT / "benchmarks"}
    arrows: dict[tuple[str, str], set[str]] = {}
    for path in python_files():
        homes = [name for name, folder in folders.items() if folder in (ROOT / path).parents]
        for here in homes:
            for module in imported_modules(ROOT / path):
                there = module.split(".")[0]
                common = module == PROTOCOL or module.startswith(f"{PROTOCOL}.")
                if there in folders and there != here and not common:
                    arrows.setdefault((here, there), set()).add(path)
    return arrows


def circle(arrows: Arrows) -> list[str]:
    """The rooms of a circle of arrows, the first one again at the end; empty without a circle."""
    below: dict[str, set[str]] = {}
    for here, there in arrows:
        below.setdefault(here, set()).add(there)
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        rooms: list[str] = error.args[1]
        return rooms
    return []


def arrows_up(arrows: Arrows, floors: list[set[str]]) -> list[str]:
    """The arrows that do not lead to a lower floor.

    Args:
        arrows: pairs of rooms.
        floors: the rooms of each floor, the highest first. Rooms that are on no floor are passed
            over.
    """
    floor_of = {room: number for number, floor in enumerate(floors) for room in floor}
    return [
        f"{here} -> {there} in {', '.join(sorted(files))}"
        for (here, there), files in sorted(arrows.items())
        if here in floor_of and there in floor_of and floor_of[there] <= floor_of[here]
    ]


def listing(arrows: Arrows) -> str:
    """The arrows as lines for the message of a failed test."""
    return "\n".join(f"{a} -> {b}: {', '.join(sorted(files))}" for (a, b), files in arrows.items())
