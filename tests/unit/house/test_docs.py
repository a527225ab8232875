"""The documentation names files and folders that exist."""

import re
from pathlib import Path

import pytest

from tests.support.rooms import ROOT, tracked_files

DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
# What a path in code quotes starts with.
TOP_LEVEL = ("benchmarks", "clients", "docker", "docs", "examples", "palm", "protos", "services")
ADDITIONS = ("A trait kind", "A training method", "A strategy", "A call", "An executor")


def folders() -> set[str]:
    """Every folder that holds a tracked file, relative to the root."""
    return {
        str(parent)
        for path in tracked_files("*")
        for parent in Path(path).parents
        if parent != Path()
    }


def quoted_paths(text: str) -> set[str]:
    """The paths of this repository that a text names in code quotes."""
    quoted = re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", text)
    return {path for path in quoted if path.split("/")[0] in {*TOP_LEVEL, "tests", "requirements"}}


def test_the_architecture_names_paths_that_exist() -> None:
    """A reader of docs/architecture.md finds every place that it names."""
    paths = quoted_paths((ROOT / "docs/architecture.md").read_text())
    assert len(paths) > 20
    assert {path for path in paths if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("addition", ADDITIONS)
def test_the_architecture_says_where_to_add(addition: str) -> None:
    """Five one-line answers, each with a path that exists."""
    text = (ROOT / "docs/architecture.md").read_text()
    answer = re.search(rf"^- \*\*{addition}\*\*: (.+(?:\n  .+)*)", text, re.MULTILINE)
    assert answer is not None
    assert quoted_paths(answer[1])


def documented_tree() -> dict[str, list[str]]:
    """The tree in CONTRIBUTING.md: the folders listed below each path that it starts from."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    block = re.search(r"^```\n(protos/.+?)^```", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    tree: dict[str, list[str]] = {}
    for line in block[1].splitlines():
        match = re.fullmatch(r"( *)(\S+)/ +\S.*", line)
        assert match is not None, line
        if match[1]:
            tree[list(tree)[-1]].append(match[2])
        else:
            tree[match[2]] = []
    return tree


def test_the_tree_of_contributing_is_true() -> None:
    """Every folder in the tree exists, and no room or folder of the root is left out."""
    tree = documented_tree()
    real = folders()
    for path, listed in tree.items():
        assert path in real
        if listed:
            below = {folder.removeprefix(f"{path}/") for folder in real if folder.startswith(path)}
            assert {name for name in below - {path} if "/" not in name} == set(listed), path
    roots = {folder.split("/")[0] for folder in real if not folder.startswith(".")}
    assert roots == {path.split("/")[0] for path in tree}


def documents() -> list[str]:
    """Every document that people write."""
    written = tracked_files("docs/*.md")
    return [*DOCUMENTS, *(path for path in written if not path.startswith("docs/reference/"))]


@pytest.mark.parametrize("name", documents())
def test_links_lead_somewhere(name: str) -> None:
    """Links to files of this repository are not broken."""
    text = (ROOT / name).read_text()
    targets = re.findall(r"\]\(([^)#\s]+)", text)
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not ((ROOT / name).parent / target).exists()] == []


@pytest.mark.parametrize("name", documents())
def test_targets_of_make_exist(name: str) -> None:
    """A document names only targets that the Makefile has."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^|`)make ([a-z][\w-]*)", (ROOT / name).read_text(), re.MULTILINE)
    assert set(named) <= targets
