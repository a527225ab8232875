"""What the trainer's integration tests share."""

import pytest

from tests.support.services.processes import ServiceProcess
from tests.support.services.training import Client


@pytest.fixture
def trainer(trainer_process: ServiceProcess) -> Client:
    """A client of the shared trainer."""
    return Client(trainer_process)
