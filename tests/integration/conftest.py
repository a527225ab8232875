"""Services that integration tests share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from palmfolio.testing import TRAITS, write_tiny_model
from tests.support.services.postgres import PostgresServer
from tests.support.services.processes import ServiceProcess, start_service


@pytest.fixture(scope="session")
def tiny_base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny base model."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def scorer_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A scorer of the traits `brevity` and `warmth`."""
    process = start_service(
        "scorer", {"traits": TRAITS, "threads": 1}, tmp_path_factory.mktemp("scorer")
    )
    yield process
    process.stop()


@pytest.fixture(scope="session")
def trainer_process(
    tmp_path_factory: pytest.TempPathFactory,
    scorer_process: ServiceProcess,
    tiny_base_model: Path,
) -> Iterator[ServiceProcess]:
    """A trainer of the base model `tiny`."""
    folder = tmp_path_factory.mktemp("trainer")
    config = {
        "state_dir": str(folder / "state"),
        "scorer": {"address": scorer_process.address},
        "base_models": {"tiny": str(tiny_base_model)},
        "threads": 1,
        "sampling_threads": 1,
        "max_queued_generations": 3,
    }
    process = start_service("trainer", config, folder)
    yield process
    process.stop()


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the test's own."""
    # As root, the server runs as another user, who cannot enter pytest's own folder.
    with tempfile.TemporaryDirectory(prefix="palmfolio-") as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder) / "cluster")
        yield server
        server.stop()
