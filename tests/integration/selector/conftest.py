"""A selector before the session's scorer and trainer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.services.processes import ServiceProcess, start_service
from tests.support.services.selector_calls import Caller


def selector_config(
    folder: Path, trainer: ServiceProcess, scorer: ServiceProcess
) -> dict[str, Any]:
    """A selector's configuration."""
    return {
        "state_dir": str(folder / "state"),
        "trainer": {"address": trainer.address},
        "scorer": {"address": scorer.address},
        "max_backoff_seconds": 1.0,
    }


@pytest.fixture(scope="session")
def selector_process(
    tmp_path_factory: pytest.TempPathFactory,
    trainer_process: ServiceProcess,
    scorer_process: ServiceProcess,
) -> Iterator[ServiceProcess]:
    """A selector."""
    folder = tmp_path_factory.mktemp("selector")
    config = selector_config(folder, trainer_process, scorer_process)
    process = start_service("selector", config, folder)
    yield process
    process.stop()


@pytest.fixture
def caller(selector_process: ServiceProcess) -> Caller:
    """A client of the session's selector."""
    return Caller(selector_process.channel)
