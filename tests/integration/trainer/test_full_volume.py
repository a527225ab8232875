"""A trainer whose volume is full: it says so, loses nothing, and goes on by itself."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from palmfolio.v1 import trainer_pb2, types_pb2
from tests.support.services.processes import ServiceProcess
from tests.support.services.training import Client, spec
from tests.support.services.volumes import fill, small_volume

PATIENCE_SECONDS = 60.0
# Room for what a trainer asks to have free before it trains again.
VOLUME_MEBIBYTES = 64
StartTrainer = Callable[..., Client]


@pytest.fixture
def volume() -> Iterator[Path]:
    """The folder of a volume with little room."""
    with small_volume(VOLUME_MEBIBYTES) as folder:
        yield folder


@pytest.fixture
def trainer(
    tmp_path: Path, scorer_process: ServiceProcess, tiny_base_model: Path
) -> Iterator[StartTrainer]:
    """Starts a trainer, whose files are where the settings say."""
    started: list[ServiceProcess] = []

    def start(**settings: str | None) -> Client:
        config = {
            "scorer": {"address": scorer_process.address},
            "base_models": {"tiny": str(tiny_base_model)},
            "threads": 1,
            "sampling_threads": 1,
            "state_dir": str(tmp_path / "state"),
            "database_url": f"sqlite:///{tmp_path / 'trainer.db'}",
            **settings,
        }
        process = ServiceProcess("trainer", config, tmp_path / "trainer")
        started.append(process)
        process.start()
        return Client(process)

    yield start
    for process in started:
        process.stop()


def reasons_of(trainer: Client) -> str:
    """Why the trainer is not ready, in its own words."""
    return "; ".join(
        trainer.stub.GetServerInfo(types_pb2.GetServerInfoRequest(), timeout=10).readiness.reasons
    )


def await_trouble(trainer: Client, words: str) -> None:
    """Waits until readiness, health and log say what is wrong."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    process = trainer.process
    while words not in reasons_of(trainer) or process.serves("palmfolio.v1.Trainer"):
        assert time.monotonic() < give_up, f"{reasons_of(trainer)!r}; log:\n{process.log_text()}"
        time.sleep(0.1)
    assert process.serves("")
    assert words in process.log_text()


@pytest.mark.parametrize(("where", "attempts"), [("state_dir", 2), ("artifact_root", 1)])
def test_a_training_waits_for_room_to_save_its_policy(
    trainer: StartTrainer, volume: Path, where: str, attempts: int
) -> None:
    place = volume / "files"
    client = trainer(**{where: str(place) if where == "state_dir" else place.as_uri()})
    operation = client.train(spec(steps=20))
    client.until_step(operation.name)
    fill(volume / "filler")
    await_trouble(client, "No space left")
    # What needs no room goes on.
    assert client.generate(client.base_policy())
    queued = client.train(spec(seed=1))

    (volume / "filler").unlink()
    for each in (operation, queued):
        done = client.done(each.name)
        policy = client.policy_of(done)
        assert policy.state == trainer_pb2.POLICY_STATE_READY, done.error
        assert client.generate(policy.name)
    client.process.wait_until_ready()
    # A policy that is trained and only has no place to go is not trained again.
    assert max(event.progress.attempt for event in client.watch(operation.name)) == attempts


def test_a_database_on_the_full_volume_is_waited_for(trainer: StartTrainer, volume: Path) -> None:
    client = trainer(state_dir=str(volume), database_url=None)
    operation = client.train(spec(seed=1))
    assert not client.done(operation.name).HasField("error")
    fill(volume / "filler")
    with pytest.raises(grpc.RpcError) as caught:
        for seed in range(2, 50):
            client.train(spec(seed=seed))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await_trouble(client, "full")

    # A start on the full volume is not a crash.
    client.process.stop()
    client.process.start(until_ready=False)
    assert client.process.serves("")

    (volume / "filler").unlink()
    client.process.wait_until_ready()
    assert client.policy_of(operation).state == trainer_pb2.POLICY_STATE_READY
    later = client.train(spec(seed=50))
    assert not client.done(later.name).HasField("error")
