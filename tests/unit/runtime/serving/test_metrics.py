"""What Prometheus reads of a real server."""

import re
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from palmfolio.v1 import scorer_pb2, scorer_pb2_grpc, trainer_pb2, trainer_pb2_grpc, types_pb2
from tests.unit.runtime.serving.test_server import Server, Start

LIST, INFO, GENERATE = (
    "palmfolio.v1.Scorer/ListTraits",
    "palmfolio.v1.Scorer/GetServerInfo",
    "palmfolio.v1.Trainer/Generate",
)


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


def _metrics_address(server: Server) -> str:
    address = re.search(r"serving metrics.*?address=(\S+)", server.log.read_text())
    assert address, server.log.read_text()
    return address[1]


def _read(server: Server, context: ssl.SSLContext | None = None) -> dict[tuple[str, ...], float]:
    """Values by name and labels, these in the order of their names."""
    scheme = "https" if context else "http"
    url = f"{scheme}://{_metrics_address(server)}/metrics"
    with urllib.request.urlopen(url, timeout=20, context=context) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _until(server: Server, condition: Callable[[dict[tuple[str, ...], float]], bool]) -> None:
    give_up = time.monotonic() + 20
    while not condition(values := _read(server)):
        assert time.monotonic() < give_up, values
        time.sleep(0.05)


def test_calls_are_counted_by_method_and_code(start: Start) -> None:
    server = start(metrics={"address": "127.0.0.1:0"})
    with grpc.insecure_channel(server.address) as channel:
        scorer = scorer_pb2_grpc.ScorerStub(channel)
        trainer = trainer_pb2_grpc.TrainerStub(channel)
        for _ in range(3):
            scorer.GetServerInfo(types_pb2.GetServerInfoRequest(), timeout=10)
        for token in ("x", "fault"):
            with pytest.raises(grpc.RpcError):
                scorer.ListTraits(scorer_pb2.ListTraitsRequest(page_token=token), timeout=10)
        with pytest.raises(grpc.RpcError):
            list(trainer.Generate(trainer_pb2.GenerateRequest(), timeout=10))
        endless = scorer_pb2.ListTraitsRequest(page_token="endless")
        with pytest.raises(grpc.RpcError):
            scorer.ListTraits(endless, timeout=0.2)
        given_up = scorer.ListTraits.future(endless)
        _until(server, lambda values: values[("palmfolio_calls_running", LIST)] == 1)
        given_up.cancel()
        _until(server, lambda values: values[("palmfolio_calls_running", LIST)] == 0)
    values = _read(server)
    calls = {key[1:]: value for key, value in values.items() if key[0] == "palmfolio_calls_total"}
    late = calls.pop(("DEADLINE_EXCEEDED", LIST), 0) + calls.pop(("CANCELLED", LIST))
    assert late == 2
    assert calls == {
        ("OK", INFO): 3,
        ("INVALID_ARGUMENT", LIST): 1,
        ("INTERNAL", LIST): 1,
        ("RESOURCE_EXHAUSTED", GENERATE): 1,
    }
    assert values[("palmfolio_call_seconds_count", LIST)] == 4
    assert values[("palmfolio_call_seconds_sum", LIST)] > 0
    assert values[("process_resident_memory_bytes",)] > 1e6
    _until(server, lambda values: values[("palmfolio_ready",)] == 1)


def test_nothing_is_served_unless_it_is_asked_for(start: Start) -> None:
    server = start()
    with grpc.insecure_channel(server.address) as channel:
        scorer_pb2_grpc.ScorerStub(channel).GetServerInfo(
            types_pb2.GetServerInfoRequest(), timeout=10
        )
    assert "serving metrics" not in server.log.read_text()


def test_a_taken_port_is_a_readable_error(start: Start, tmp_path: Path) -> None:
    first = start(metrics={"address": "127.0.0.1:0"})
    folder = tmp_path / "second"
    folder.mkdir()
    with pytest.raises(AssertionError, match="cannot serve metrics on 127"):
        Server(folder, metrics={"address": _metrics_address(first)})


def test_metrics_use_the_service_s_certificate(start: Start, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    tls = {"certificate": str(certificate), "key": str(key)}
    server = start(tls=tls, metrics={"address": "127.0.0.1:0"})
    values = _read(server, ssl.create_default_context(cafile=str(certificate)))
    assert ("palmfolio_ready",) in values
    with pytest.raises(OSError):
        _read(server)
