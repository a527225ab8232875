"""A selector whose database is away, refuses it, is newer than it, or has no room left.

It stays up, names the trouble in log and readiness, loses nothing, and goes on by itself.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
import sqlalchemy
from google.longrunning import operations_pb2
from google.rpc import code_pb2, error_details_pb2

from palmfolio.v1 import portfolios_pb2, types_pb2
from tests.support.services.postgres import PostgresServer
from tests.support.services.processes import ServiceProcess
from tests.support.services.selector_calls import Caller, refused
from tests.support.services.volumes import MEBIBYTE, fill, small_volume

PATIENCE_SECONDS = 60.0
NOWHERE = {"address": "127.0.0.1:9"}
StartSelector = Callable[..., ServiceProcess]


@pytest.fixture
def selector(tmp_path: Path) -> Iterator[StartSelector]:
    """Starts a selector on a database, ready or not."""
    started: list[ServiceProcess] = []

    def start(url: str, until_ready: bool = True) -> ServiceProcess:
        config = {"database_url": url, "trainer": NOWHERE, "scorer": NOWHERE}
        started.append(ServiceProcess("selector", config, tmp_path / f"selector-{len(started)}"))
        started[-1].start(until_ready)
        return started[-1]

    yield start
    for process in started:
        process.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_on_small_volume(request: pytest.FixtureRequest) -> Iterator[tuple[str, Path]]:
    """(url, folder) of a database on a volume of its own with little room."""
    with small_volume(8 if request.param == "sqlite" else 128) as folder:
        if request.param == "sqlite":
            yield f"sqlite:///{folder / 'selector.db'}", folder
        else:
            server = PostgresServer(folder / "cluster")
            yield server.url, folder
            server.stop()


def reasons_of(process: ServiceProcess) -> str:
    """Why the selector takes no work, in its own words."""
    info = Caller(process.channel).stub.GetServerInfo(types_pb2.GetServerInfoRequest(), timeout=10)
    assert info.readiness.ready == (not info.readiness.reasons)
    return "; ".join(info.readiness.reasons)


def await_trouble(process: ServiceProcess, words: str) -> None:
    """Waits until readiness and log name the trouble; the process is alive all the time."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while words not in (reasons := reasons_of(process)):
        assert time.monotonic() < give_up, f"it says {reasons!r}; log:\n{process.log_text()}"
        time.sleep(0.1)
    while process.serves("palmfolio.v1.Selector"):
        assert time.monotonic() < give_up, "health does not follow"
        time.sleep(0.1)
    assert process.serves("")
    assert words in process.log_text()


def unavailable(caller: Caller) -> str:
    """The message of the refusal of a call that needs the database."""
    code, message, details = refused(lambda: caller.prompt_set(["What is rain?"]))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "RetryInfo" in details
    return message


def test_a_database_that_is_away_is_waited_for_and_nothing_is_lost(
    postgres: PostgresServer, selector: StartSelector
) -> None:
    postgres.stop()
    process = selector(postgres.url, until_ready=False)
    await_trouble(process, "the database cannot be used: connection")
    caller = Caller(process.channel)
    code, message, _ = refused(lambda: caller.prompt_set(["What is rain?"]))
    assert code is grpc.StatusCode.UNAVAILABLE and "the database cannot be used" in message
    postgres.start()
    process.wait_until_ready()
    prompt_set = caller.prompt_set(["What is rain?"])

    postgres.stop()
    await_trouble(process, "the database cannot be used")
    unavailable(caller)
    postgres.start()
    process.wait_until_ready()
    spec = portfolios_pb2.PortfolioSpec(
        base_model="tiny",
        traits=["brevity", "warmth"],
        training_prompt_set=prompt_set,
        evaluation_prompt_set=prompt_set,
    )
    spec.strategy.explicit.trainings.add(weights=types_pb2.Weights(values={"brevity": 1}))
    assert not caller.build("p", spec).done


def test_a_build_ends_though_the_database_goes_away_meanwhile(
    postgres: PostgresServer, selector: StartSelector
) -> None:
    process = selector(postgres.url)
    caller = Caller(process.channel)
    operation = caller.build("p", caller.spec({"brevity": 1.0})).name
    caller.await_event(operation, lambda event: event.stage == portfolios_pb2.BUILD_STAGE_WAITING)
    with postgres.locked("portfolios"):
        request = operations_pb2.CancelOperationRequest(name=operation)
        caller.operations.CancelOperation(request, timeout=30)
        postgres.await_blocked("portfolios")
        postgres.stop()
    await_trouble(process, "the database cannot be used")
    postgres.start()
    process.wait_until_ready()
    assert caller.wait(operation).error.code == code_pb2.CANCELLED
    assert caller.portfolio("p").state == portfolios_pb2.PORTFOLIO_STATE_FAILED


def test_a_wrong_password_is_said_without_the_password(
    postgres: PostgresServer, selector: StartSelector
) -> None:
    postgres.execute("CREATE ROLE palmfolio LOGIN PASSWORD 'old' SUPERUSER")
    postgres.require_passwords()
    process = selector(postgres.url_of("palmfolio", "entirely-wrong"), until_ready=False)
    await_trouble(process, "password authentication failed")
    assert "entirely-wrong" not in process.log_text()
    assert "entirely-wrong" not in reasons_of(process)
    postgres.execute("ALTER ROLE palmfolio PASSWORD 'entirely-wrong'")
    process.wait_until_ready()
    Caller(process.channel).prompt_set(["What is rain?"])


def test_a_schema_newer_than_the_program_is_left_alone(
    database_url: str, selector: StartSelector
) -> None:
    process = selector(database_url)
    process.stop()
    engine = sqlalchemy.create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))

    def set_version(version: str) -> str:
        with engine.begin() as connection:
            before = connection.scalar(sqlalchemy.text("SELECT version_num FROM alembic_version"))
            connection.execute(
                sqlalchemy.text("UPDATE alembic_version SET version_num = :new"), {"new": version}
            )
        return str(before)

    known = set_version("9999_future")
    process.start(until_ready=False)
    await_trouble(process, "schema 9999_future, which this version of palmfolio_selector does not")
    # The program is put right by its operator; here, the database is.
    assert set_version(known) == "9999_future"
    process.wait_until_ready()
    engine.dispose()


def test_a_full_volume_is_said_and_emptied(
    database_on_small_volume: tuple[str, Path], selector: StartSelector
) -> None:
    url, folder = database_on_small_volume
    process = selector(url)
    caller = Caller(process.channel)
    before = caller.prompt_set(["kept"])
    # A few pages are left, so that it is not the very next write.
    fill(folder / "filler", leave=MEBIBYTE // 4)
    message = ""
    for _ in range(100):
        text = uuid.uuid4().hex * 900
        try:
            caller.prompt_set([f"{number} {text}" for number in range(20)])
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE, error
            message = error.details() or ""
            break
    assert "full" in message or "No space left" in message
    await_trouble(process, message)

    # A start on the full volume is not a crash either.
    process.stop()
    process.start(until_ready=False)
    assert process.serves("")

    (folder / "filler").unlink()
    process.wait_until_ready()
    caller = Caller(process.channel)
    assert caller.prompt_set(["kept"]) == before
    caller.prompt_set(["taken after the volume was emptied"])
    assert not reasons_of(process)


def test_error_details_name_the_database(postgres: PostgresServer, selector: StartSelector) -> None:
    process = selector(postgres.url)
    postgres.stop()
    code, _, details = refused(lambda: Caller(process.channel).prompt_set(["What is rain?"]))
    assert code is grpc.StatusCode.UNAVAILABLE
    info = error_details_pb2.ErrorInfo.FromString(details["ErrorInfo"])
    assert info.reason == "DEPENDENCY_UNAVAILABLE"
    assert info.metadata["dependency"] == "database"
    postgres.start()
