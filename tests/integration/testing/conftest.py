"""A selector before the session's scorer and trainer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.services.processes import ServiceProcess, start_service


@pytest.fixture
def selector_by_url(
    tmp_path: Path, scorer_process: ServiceProcess, trainer_process: ServiceProcess
) -> Iterator[ServiceProcess]:
    """A selector."""
    config = {
        "state_dir": str(tmp_path / "state"),
        "trainer": {"address": trainer_process.address},
        "scorer": {"address": scorer_process.address},
    }
    process = start_service("selector", config, tmp_path / "selector")
    yield process
    process.stop()
