"""A real server of the runtime over real sockets, in a process of its own."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias, TypeVar

import grpc
import pytest
import yaml
from google.protobuf import descriptor_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from palmfolio.v1 import scorer_pb2, scorer_pb2_grpc, types_pb2
from palmfolio_runtime.clients.channels import status_of

TOKENS = {"reader": "open-sesame", "operator": "let-me-build"}

SERVER = """
import asyncio, sys
from pathlib import Path
from palmfolio.v1 import scorer_pb2, scorer_pb2_grpc, trainer_pb2, trainer_pb2_grpc, types_pb2
from palmfolio_runtime import errors
from palmfolio_runtime.config import ServerConfig, load_config
from palmfolio_runtime.serving.server import run

class Scorer(scorer_pb2_grpc.ScorerServicer):
    async def GetServerInfo(self, request, context):
        return types_pb2.ServerInfo(service="scorer")
    async def ListTraits(self, request, context):
        if request.page_token == "endless":
            await asyncio.sleep(1000)
        if request.page_token == "fault":
            prompt = "of a " + "user"
            raise KeyError("secret")
        if request.page_token == "slow":
            await asyncio.sleep(1)
            return scorer_pb2.ListTraitsResponse(next_page_token="slow")
        raise errors.invalid_argument(("page_token", "is not one that this server gave"))

class Trainer(trainer_pb2_grpc.TrainerServicer):
    async def DeletePolicy(self, request, context):
        return trainer_pb2.DeletePolicyResponse()
    async def Generate(self, request, context):
        yield trainer_pb2.GenerateResponse()
        raise errors.resource_exhausted("the queue is full", 0.25)

class Service:
    names = ["palmfolio.v1.Scorer", "palmfolio.v1.Trainer"]
    reasons = ["starting"]
    def register(self, server):
        scorer_pb2_grpc.add_ScorerServicer_to_server(Scorer(), server)
        trainer_pb2_grpc.add_TrainerServicer_to_server(Trainer(), server)
    async def start(self):
        self.reasons = []
    def not_ready(self):
        return self.reasons
    reloads = 0
    async def reload(self):
        self.reloads += 1
        print("reload", self.reloads, file=sys.stderr)
        if self.reloads == 1:
            raise ValueError("half a file")
    async def stop(self):
        print("stopped", file=sys.stderr)

run(Service(), load_config(ServerConfig, Path(sys.argv[1])))
"""


class Server:
    def __init__(self, folder: Path, **config: object) -> None:
        self.address_file = folder / "address"
        self.log = folder / "log"
        config_file = folder / "server.yaml"
        config_file.write_text(yaml.safe_dump({"address_file": str(self.address_file), **config}))
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVER, str(config_file)], stderr=log
            )
        while not self.address_file.exists():
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        self.address = self.address_file.read_text()


Start: TypeAlias = Callable[..., Server]
Detail = TypeVar("Detail", bound=Message)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    servers: list[Server] = []

    def starting(**config: object) -> Server:
        servers.append(Server(tmp_path, **config))
        return servers[-1]

    yield starting
    for server in servers:
        server.process.kill()
        server.process.wait()


@pytest.fixture
def server(start: Start) -> Server:
    return start()


def details_of(error: pytest.ExceptionInfo[grpc.RpcError], kind: type[Detail]) -> Detail:
    status = status_of(error.value)
    message = kind()
    assert any(detail.Unpack(message) for detail in status.details)
    return message


def test_errors_arrive_with_their_details(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = scorer_pb2_grpc.ScorerStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ListTraits(scorer_pb2.ListTraitsRequest(page_token="x"), timeout=10)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert details_of(caught, error_details_pb2.ErrorInfo).reason == "INVALID_FIELD"
        violations = details_of(caught, error_details_pb2.BadRequest).field_violations
        assert [violation.field for violation in violations] == ["page_token"]


def test_a_fault_hides_its_cause_and_names_the_request(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = scorer_pb2_grpc.ScorerStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            request = scorer_pb2.ListTraitsRequest(page_token="fault")
            stub.ListTraits(request, timeout=10, metadata=(("x-request-id", "r-17"),))
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        message = caught.value.details() or ""
        assert "r-17" in message
        assert "secret" not in message
    logged = server.log.read_text()
    assert "secret" in logged
    assert "r-17" in logged
    assert "of a user" not in logged


def test_a_stream_can_fail_after_it_began(server: Server) -> None:
    from palmfolio.v1 import trainer_pb2, trainer_pb2_grpc

    with grpc.insecure_channel(server.address) as channel:
        stream = trainer_pb2_grpc.TrainerStub(channel).Generate(
            trainer_pb2.GenerateRequest(), timeout=10
        )
        next(stream)
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        retry = details_of(caught, error_details_pb2.RetryInfo)
        assert retry.retry_delay.ToMilliseconds() == 250


def test_health_tells_alive_from_ready(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        alive = health.Check(health_pb2.HealthCheckRequest(service=""), timeout=10)
        assert alive.status == health_pb2.HealthCheckResponse.SERVING
        ready = health_pb2.HealthCheckRequest(service="palmfolio.v1.Scorer")
        deadline = time.monotonic() + 10
        while health.Check(ready, timeout=10).status != health_pb2.HealthCheckResponse.SERVING:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_tokens_and_roles(start: Start) -> None:
    tokens = [
        {"sha256": hashlib.sha256(token.encode()).hexdigest(), "role": role}
        for role, token in TOKENS.items()
    ]
    from palmfolio.v1 import trainer_pb2, trainer_pb2_grpc

    server = start(tokens=tokens)

    def metadata(token: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {token}"),)

    with grpc.insecure_channel(server.address) as channel:
        read = scorer_pb2_grpc.ScorerStub(channel).GetServerInfo
        change = trainer_pb2_grpc.TrainerStub(channel).DeletePolicy
        info, delete = types_pb2.GetServerInfoRequest(), trainer_pb2.DeletePolicyRequest()
        for wrong in ((), metadata("guess"), (("authorization", "Basic xyz"),)):
            with pytest.raises(grpc.RpcError) as caught:
                read(info, timeout=10, metadata=wrong)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert read(info, timeout=10, metadata=metadata(TOKENS["reader"])).service == "scorer"
        with pytest.raises(grpc.RpcError) as caught:
            change(delete, timeout=10, metadata=metadata(TOKENS["reader"]))
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        change(delete, timeout=10, metadata=metadata(TOKENS["operator"]))
        health = health_pb2_grpc.HealthStub(channel)
        health.Check(health_pb2.HealthCheckRequest(), timeout=10)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_is_served_in_both_versions(start: Start, version: str) -> None:
    token = {"sha256": hashlib.sha256(b"open-sesame").hexdigest(), "role": "reader"}
    server = start(tokens=[token])
    package = f"grpc.reflection.{version}"
    with grpc.insecure_channel(server.address) as channel:
        # Both versions have the same bytes; only the name of the service differs.
        call = channel.stream_stream(
            f"/{package}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="palmfolio.v1.Scorer"),
            reflection_pb2.ServerReflectionRequest(
                file_containing_symbol=f"{package}.ServerReflectionRequest"
            ),
        ]
        listed, scorer, itself = call(iter(requests), timeout=10)
    names = {service.name for service in listed.list_services_response.service}
    assert names == {
        "palmfolio.v1.Scorer",
        "palmfolio.v1.Trainer",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    for response, name in ((scorer, "palmfolio.v1"), (itself, package)):
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(file)
            for file in response.file_descriptor_response.file_descriptor_proto
        ]
        assert name in {file.package for file in files}
        assert {dependency for file in files for dependency in file.dependency} <= {
            file.name for file in files
        }
    (described,) = files
    request = next(m for m in described.message_type if m.name == "ServerReflectionRequest")
    types = {field.type_name for field in request.field if field.type_name}
    assert types == {f".{package}.ExtensionRequest"}


def test_a_signal_drains_what_runs(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = scorer_pb2_grpc.ScorerStub(channel)
        slow = stub.ListTraits.future(scorer_pb2.ListTraitsRequest(page_token="slow"), timeout=10)
        stub.GetServerInfo(types_pb2.GetServerInfoRequest(), timeout=10)
        os.kill(server.process.pid, signal.SIGTERM)
        assert slow.result().next_page_token == "slow"
    assert server.process.wait(timeout=10) == 0
    assert "stopped" in server.log.read_text()
    assert not server.address_file.exists()


def test_a_second_signal_stops_at_once(start: Start) -> None:
    server = start(drain_seconds=60)
    with grpc.insecure_channel(server.address) as channel:
        stub = scorer_pb2_grpc.ScorerStub(channel)
        request = scorer_pb2.ListTraitsRequest(page_token="slow")
        calls = [stub.ListTraits.future(request, timeout=10)]
        stub.GetServerInfo(types_pb2.GetServerInfoRequest(), timeout=10)
        os.kill(server.process.pid, signal.SIGTERM)
        time.sleep(0.1)
        os.kill(server.process.pid, signal.SIGTERM)
        assert server.process.wait(timeout=10) == -signal.SIGTERM
        with pytest.raises(grpc.RpcError):
            calls[0].result()


def test_a_taken_port_is_a_readable_error(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    config = folder / "server.yaml"
    config.write_text(yaml.safe_dump({"address": server.address}))
    second = subprocess.run(
        [sys.executable, "-c", SERVER, str(config)], capture_output=True, text=True, timeout=30
    )
    assert second.returncode == 1
    assert "is the port taken?" in second.stderr
    assert "Traceback" not in second.stderr


def test_each_hangup_reloads_and_a_reload_that_fails_stops_nothing(server: Server) -> None:
    for reload in ("reload 1", "reload 2"):
        server.process.send_signal(signal.SIGHUP)
        give_up = time.monotonic() + 20
        while reload not in server.log.read_text():
            assert server.process.poll() is None and time.monotonic() < give_up
            time.sleep(0.02)
    assert "half a file" in server.log.read_text()
    with grpc.insecure_channel(server.address) as channel:
        info = scorer_pb2_grpc.ScorerStub(channel).GetServerInfo(
            types_pb2.GetServerInfoRequest(), timeout=10
        )
    assert info.service == "scorer"
