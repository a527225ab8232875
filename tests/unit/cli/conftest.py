"""Lets these tests use the peer of the SDK's tests, and runs commands as a user does."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cli_outcome import Outcome
from tests.support.sdk_peer import Peer, serving


@pytest.fixture
def peer() -> Iterator[Peer]:
    with serving() as peer:
        yield peer


@pytest.fixture
def endpoints(peer: Peer, tmp_path: Path) -> str:
    path = tmp_path / "endpoints.json"
    addresses = dict.fromkeys(("scorer", "trainer", "selector"), peer.address)
    path.write_text(json.dumps(addresses))
    return str(path)


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Runs a command in an empty folder."""
    from palmfolio.cli.app import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PALMFOLIO_ENDPOINTS", raising=False)

    def execute(*arguments: str) -> Outcome:
        code = run(arguments)
        written = capsys.readouterr()
        return Outcome(code, written.out, written.err)

    return execute
