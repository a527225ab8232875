"""A client that goes away frees its places in the queue, however it goes.

What the first client asks for never ends, so its places can be free for no other reason.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from palmfolio.v1 import scorer_pb2
from tests.support.services.scorer_process import ScorerProcess, install_plugin, running_scorer

PLACES = 8
# Waits until the file exists that the response names; at other texts, which a worker tries when it
# loads the trait, it does not wait.
PLUGIN = """
import time
from pathlib import Path
from palmfolio_scorer.traits.kind import TextTrait, TraitOptions

class Plugin(TextTrait[TraitOptions]):
    options_type = TraitOptions

    def reward(self, sample):
        gate = Path(sample.response)
        while gate.is_absolute() and not gate.exists():
            time.sleep(0.01)
        return 1.0
"""
CLIENT = """
import sys
import grpc
from palmfolio.v1 import scorer_pb2, scorer_pb2_grpc

address, call, gate, places = sys.argv[1:]
samples = [scorer_pb2.Sample(response=gate)] * int(places)
with grpc.insecure_channel(address) as channel:
    stub = scorer_pb2_grpc.ScorerStub(channel)
    if call == "Score":
        stub.Score(scorer_pb2.ScoreRequest(samples=samples, traits=["waiting"]))
    else:
        items = [scorer_pb2.ScoreItem(id=str(i), sample=s) for i, s in enumerate(samples)]
        request = scorer_pb2.ScoreStreamRequest(items=items, traits=["waiting"])
        list(stub.ScoreStream(iter([request])))
"""


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScorerProcess]:
    """A scorer with few places, and a trait that waits."""
    folder = tmp_path_factory.mktemp("waiting")
    identity = {"normalisation": {"kind": "identity"}}
    traits = [
        {"name": "waiting", "kind": "waiting"} | identity,
        {"name": "length", "kind": "verifier", "check": "length"} | identity,
    ]
    with running_scorer(
        folder,
        plugins=install_plugin(folder / "plugins", "waiting", PLUGIN),
        traits=traits,
        metrics={"address": "127.0.0.1:0"},
        engine={"max_queued_samples": PLACES, "text_threads": 2, "sample_seconds": 600.0},
    ) as running:
        yield running


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that opens the gate; it opens when the test is over."""
    path = tmp_path / "gate"
    yield path
    path.touch()


def _is_admitted(scorer: ScorerProcess) -> bool:
    """Whether there is room for another client's sample."""
    sample = scorer_pb2.Sample(response="four")
    request = scorer_pb2.ScoreRequest(samples=[sample], traits=["length"])
    try:
        assert list(scorer.stub.Score(request, timeout=60).rewards.raw) == [4]
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        return False
    return True


def _wait_until(condition: Callable[[], bool], scorer: ScorerProcess) -> None:
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up, scorer.log.read_text()
        time.sleep(0.02)


def _wait_until_full(scorer: ScorerProcess) -> None:
    """Waits until the first client has all places; there is none for a second one then."""
    _wait_until(lambda: scorer.metrics()[("queued_samples",)] == PLACES, scorer)
    assert not _is_admitted(scorer)


@pytest.mark.parametrize("call", ["Score", "ScoreStream"])
def test_a_client_that_is_killed(scorer: ScorerProcess, gate: Path, call: str) -> None:
    arguments = [scorer.address, call, str(gate), str(PLACES)]
    client = subprocess.Popen([sys.executable, "-c", CLIENT, *arguments])
    try:
        _wait_until_full(scorer)
    finally:
        client.kill()
        client.wait()
    _wait_until(lambda: _is_admitted(scorer), scorer)
    assert not gate.exists()


@pytest.mark.parametrize("call", ["Score", "ScoreStream"])
@pytest.mark.parametrize("end", ["cancelled", "deadline"])
def test_a_call_that_is_given_up(scorer: ScorerProcess, gate: Path, call: str, end: str) -> None:
    sample = scorer_pb2.Sample(response=str(gate))
    timeout = 10 if end == "deadline" else None
    if call == "Score":
        request = scorer_pb2.ScoreRequest(samples=[sample] * PLACES, traits=["waiting"])
        running: Any = scorer.stub.Score.future(request, timeout=timeout)
    else:
        item = scorer_pb2.ScoreItem(sample=sample)
        stream = scorer_pb2.ScoreStreamRequest(items=[item] * PLACES, traits=["waiting"])
        running = scorer.stub.ScoreStream(iter([stream]), timeout=timeout)
    _wait_until_full(scorer)
    if end == "cancelled":
        running.cancel()
    _wait_until(lambda: _is_admitted(scorer), scorer)
    assert not gate.exists()
    expected = {
        "cancelled": grpc.StatusCode.CANCELLED,
        "deadline": grpc.StatusCode.DEADLINE_EXCEEDED,
    }
    assert running.code() == expected[end]
