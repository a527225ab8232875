"""Fixtures for pytest: `pytest_plugins = ["palmfolio.testing.plugin"]` in the top conftest.py.

The environment variable `PALMFOLIO_TEST_ENDPOINTS` names a connection file
(`{"scorer": "host:port", "trainer": …, "selector": …}`) of services that are already running, for
example in a compose stack. Without it, the fixtures start the services with a tiny model.

Example:
    def test_warm_words_score_higher(palmfolio_client):
        samples = [palmfolio.Sample("Hi", text) for text in ("I love it!", "I hate it!")]
        rewards = palmfolio_client.scorer.score(samples, traits=["warmth"])
        assert rewards.normalised[0] > rewards.normalised[1]
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from palmfolio._client import Client
from palmfolio.testing.services import TRAITS, Services, local_services, services_at

ENDPOINTS_VARIABLE = "PALMFOLIO_TEST_ENDPOINTS"


@pytest.fixture(scope="session")
def palmfolio_traits() -> Sequence[Mapping[str, Any]]:
    """The traits to start the scorer with, as its file declares them; override it for your own."""
    return TRAITS


@pytest.fixture(scope="session")
def palmfolio_services(
    tmp_path_factory: pytest.TempPathFactory, palmfolio_traits: Sequence[Mapping[str, Any]]
) -> Iterator[Services]:
    """Services that take work, for the whole session."""
    if endpoints := os.environ.get(ENDPOINTS_VARIABLE):
        yield services_at(endpoints)
        return
    folder = tmp_path_factory.mktemp("palmfolio")
    with local_services(folder, traits=palmfolio_traits) as services:
        yield services


@pytest.fixture(scope="session")
def palmfolio_client(palmfolio_services: Services) -> Iterator[Client]:
    """A client of the services."""
    with palmfolio_services.client() as client:
        yield client
