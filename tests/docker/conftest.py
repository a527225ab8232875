"""The engine, the images and the stack of the tests."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support.docker.base_image import base_image, copy_wheels, index_url, postgres_image
from tests.support.docker.engine import (
    REQUIRED,
    Engine,
    answers,
    engine_log,
    missing_programs,
    tail_of,
)
from tests.support.docker.stack import SERVICES, Stack

_HERE = Path(__file__).parent
# The first run makes the base image and builds three images.
_TIMEOUT_SECONDS = 2400


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks these tests, and puts them last: the others say sooner what is wrong."""
    ours = [item for item in items if _HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.docker)
        item.add_marker(pytest.mark.timeout(_TIMEOUT_SECONDS))
    items[:] = [item for item in items if item not in ours] + ours


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds what the containers and the tests' own engine printed to the report of a failure."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and stack is not None:
        report.sections.append(("containers", stack.logs()))
    if report.failed and (log := engine_log()).exists():
        report.sections.append((str(log), tail_of(log)))
    return report


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """A Docker engine that answers; without one the tests are skipped, or fail where required."""
    required = os.environ.get(REQUIRED) == "1"
    refuse = pytest.fail if required else pytest.skip
    if missing := missing_programs():
        refuse(f"needs Debian's packages {', '.join(missing)}")
    if answers():
        yield
        return
    if not required:
        pytest.skip(f"no Docker engine answers; `make test-docker` starts one ({REQUIRED}=1)")
    if os.geteuid() != 0:
        pytest.fail("no Docker engine answers, and starting one takes root")
    own = Engine()
    own.start()
    yield
    own.stop()


@pytest.fixture(scope="session")
def built(engine: None) -> Stack:
    """The stack with its images built, not started."""
    base = base_image()
    copy_wheels()
    images = {
        "BASE_IMAGE": base,
        "POSTGRES_IMAGE": postgres_image(base),
        "BUILD_NETWORK": "host",
        **({"PIP_INDEX_URL": url} if (url := index_url()) else {}),
    }
    stack = Stack(images)
    # One after the other, so that the second finds the layers of the first.
    for service in SERVICES:
        stack.compose("build", service)
    return stack


@pytest.fixture(scope="module")
def stack(built: Stack) -> Iterator[Stack]:
    """The stack, started on empty volumes."""
    built.down(with_volumes=True)
    try:
        built.up()
        yield built
    finally:
        built.down(with_volumes=True)
