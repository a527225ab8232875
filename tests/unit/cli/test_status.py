"""`palmfolio status`: every service is shown, also one that does not answer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from palmfolio.v1 import types_pb2
from tests.support.cli_outcome import Outcome
from tests.support.sdk_peer import Peer

Command = Callable[..., Outcome]


def _info(request: Any, context: grpc.ServicerContext) -> types_pb2.ServerInfo:
    model = types_pb2.LoadedModel(
        source="minilm", device="cpu", dtype="float32", parameter_bytes=3 << 20, traits=["warmth"]
    )
    return types_pb2.ServerInfo(
        service="scorer",
        version="1.2",
        readiness=types_pb2.Readiness(ready=True),
        loaded_models=[model],
        resident_bytes=7 << 20,
    )


def test_models_and_memory_are_shown(peer: Peer, command: Command, endpoints: str) -> None:
    peer.on("GetServerInfo", _info)
    outcome = command("status", "--endpoints", endpoints)
    assert outcome.code == 0
    for shown in ("scorer", "1.2", "minilm", "warmth", "3 MiB", "7 MiB"):
        assert shown in outcome.out
    infos = command("status", "--endpoints", endpoints, "--json").json
    assert [info["loaded_models"][0]["parameter_bytes"] for info in infos] == [3 << 20] * 3


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_service_that_is_not_ready_is_code_one_and_says_why(
    peer: Peer, command: Command, endpoints: str, flags: tuple[str, ...]
) -> None:
    reason = "trait-x: no such file"
    not_ready = types_pb2.ServerInfo(readiness=types_pb2.Readiness(reasons=[reason]))
    peer.on("GetServerInfo", lambda request, context: not_ready)
    outcome = command("status", "--endpoints", endpoints, *flags)
    assert outcome.code == 1
    assert "no such file" in outcome.out


@pytest.mark.slow
def test_a_service_that_does_not_answer_hides_no_other(
    peer: Peer, command: Command, tmp_path: Path
) -> None:
    peer.on("GetServerInfo", _info)
    path = tmp_path / "endpoints.json"
    addresses = dict.fromkeys(("scorer", "selector"), peer.address)
    path.write_text(json.dumps(addresses | {"trainer": "127.0.0.1:1"}))
    outcome = command("status", "--endpoints", str(path), "--json")
    assert outcome.code == 1
    assert [info["readiness"]["ready"] for info in outcome.json] == [True, False, True]
    assert outcome.json[1]["readiness"]["reasons"]
