"""Imports point down, rooms know few others, files and folders stay small."""

import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.support.rooms import (
    DISTRIBUTIONS,
    ROOT,
    SERVICES,
    arrows_between_distributions,
    arrows_between_rooms,
    arrows_up,
    circle,
    imported_modules,
    listing,
    python_files,
)

LINES_PER_FILE = 400
MODULES_PER_FOLDER = 12
VAGUE_NAMES = {"base", "common", "helpers", "misc", "shared", "util", "utils"}
ARROWS_BETWEEN_DISTRIBUTIONS = 8
ARROWS_BETWEEN_ROOMS = {"palmfolio_scorer": 28, "palmfolio_selector": 25, "palmfolio_trainer": 30}
# The pure library takes numbers and returns numbers: no other dependency.
PALM_LIBRARIES = {"numpy", "scipy"}
# Imported where they are used, from an extra: `import palmfolio_palm` works without them.
PALM_OPTIONAL_LIBRARIES = {"regex", "sacrebleu"}


def floors(package: str) -> list[set[str]]:
    """The rooms of each floor, the highest first, from the import contract in pyproject.toml."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = [
        contract["layers"]
        for contract in contracts
        if contract["type"] == "layers" and contract.get("containers") == [package]
    ]
    (only,) = layers
    return [set(floor.replace("|", " ").replace(":", " ").split()) for floor in only]


@pytest.mark.parametrize("package", DISTRIBUTIONS)
def test_no_circle_between_rooms(package: str) -> None:
    """Whoever changes a room knows which rooms cannot notice: those below it."""
    assert circle(arrows_between_rooms(package)) == []


@pytest.mark.parametrize("package", SERVICES)
def test_arrows_between_rooms_point_down(package: str) -> None:
    """Each room imports lower floors only, and every room is on a floor of the contract."""
    levels = floors(package)
    arrows = arrows_between_rooms(package)
    assert arrows_up(arrows, levels) == []
    assert {room for arrow in arrows for room in arrow} <= set().union(*levels) | {"__main__"}


@pytest.mark.parametrize("package", ARROWS_BETWEEN_ROOMS)
def test_rooms_know_few_others(package: str) -> None:
    """The number of arrows is limited: a new one is a decision, not an accident."""
    arrows = arrows_between_rooms(package)
    assert len(arrows) <= ARROWS_BETWEEN_ROOMS[package], listing(arrows)


def test_distributions_know_few_others() -> None:
    """Few arrows between the distributions and the benchmarks, and no circle."""
    arrows = arrows_between_distributions()
    assert len(arrows) <= ARROWS_BETWEEN_DISTRIBUTIONS, listing(arrows)
    services = set(SERVICES)
    levels = [{"benchmarks"}, services | {"palmfolio"}, {"palmfolio_runtime"}, {"palmfolio_palm"}]
    assert arrows_up(arrows, levels) == []


def test_palm_needs_numpy_and_scipy_only() -> None:
    """The mathematics can be used without the rest, by anyone."""
    folder = DISTRIBUTIONS["palmfolio_palm"]
    modules = {
        name.split(".")[0] for file in folder.rglob("*.py") for name in imported_modules(file)
    }
    known = PALM_LIBRARIES | PALM_OPTIONAL_LIBRARIES | {"palmfolio_palm"}
    assert modules - known <= set(sys.stdlib_module_names)


def test_no_file_is_long() -> None:
    """A file that a reader can take in at one go; the protocol's files, too."""
    protos = [path.relative_to(ROOT).as_posix() for path in (ROOT / "protos").rglob("*.proto")]
    paths = [*python_files(), *protos]
    lines = {path: len((ROOT / path).read_text().splitlines()) for path in paths}
    assert {path: count for path, count in lines.items() if count > LINES_PER_FILE} == {}


def test_no_folder_is_crowded() -> None:
    """A folder whose modules one can keep in mind; `__init__.py` is not counted."""
    files = [Path(path) for path in python_files()]
    modules = Counter(str(file.parent) for file in files if file.name != "__init__.py")
    crowded = {folder: count for folder, count in modules.items() if count > MODULES_PER_FOLDER}
    assert crowded == {}


def test_modules_are_named_for_what_they_hold() -> None:
    """A name such as `utils` says nothing, so anything could be put there."""
    vague = {path for path in python_files() if Path(path).stem in VAGUE_NAMES}
    assert vague == set()
