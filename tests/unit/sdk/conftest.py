"""Clients of a peer inside the test."""

from collections.abc import Iterator

import pytest

import palmfolio
from tests.support.sdk_peer import Peer, serving


@pytest.fixture
def peer() -> Iterator[Peer]:
    with serving() as peer:
        yield peer


@pytest.fixture
def endpoints(peer: Peer) -> dict[str, str]:
    return dict.fromkeys(("scorer", "trainer", "selector"), peer.address)


@pytest.fixture
def client(endpoints: dict[str, str]) -> Iterator[palmfolio.Client]:
    with palmfolio.Client(endpoints) as client:
        yield client
