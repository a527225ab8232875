"""One text costs only its own sample: real workers, killed and replaced under a real scorer."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from palmfolio.v1 import prompts_pb2, scorer_pb2, types_pb2
from tests.support.services.scorer_process import ScorerProcess, install_plugin, running_scorer

PLUGIN = """
import ctypes, os, signal, subprocess, sys, time
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.kind import TextTrait, TraitOptions

class Quit(BaseException):
    def __str__(self):
        raise KeyboardInterrupt

class Plugin(TextTrait[TraitOptions]):
    options_type = TraitOptions

    def reward(self, sample: Sample) -> float:
        match sample.response:
            case "sleep":
                time.sleep(1000)
            case "deaf":
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)
                while True:
                    try:
                        time.sleep(1000)
                    except BaseException:
                        pass
            case "loop":
                while True:
                    pass
            case "children":
                subprocess.run(["sleep", "1000"])
            case "base exception":
                raise Quit
            case "interrupt":
                raise KeyboardInterrupt
            case "generator":
                raise GeneratorExit
            case "leave":
                os._exit(3)
            case "crash":
                ctypes.string_at(0)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "print":
                print("noise", flush=True)
                sys.stdout.write("more noise")
        return float(len(sample.response))
"""
TIMED_OUT = {"sleep", "deaf", "loop", "children"}
ENDED = {"leave": "code 3", "crash": "SIGSEGV", "kill": "SIGKILL"}
RAISED = {
    "base exception": "Quit",
    "interrupt": "KeyboardInterrupt",
    "generator": "GeneratorExit",
}
TRAITS = ("touchy", "schema", "pattern", "warmth", "length")
BACKTRACKING = '"' + "a" * 60 + '"'
SECONDS = 1.0


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScorerProcess]:
    """A scorer whose traits have no model; two of them can be made to run for ever."""
    folder = tmp_path_factory.mktemp("workers")
    traits: list[dict[str, Any]] = [
        {"name": "touchy", "kind": "touchy"},
        {
            "name": "schema",
            "kind": "verifier",
            "check": "format",
            "form": "json",
            "json_schema": {"type": "string", "pattern": "^([a-zA-Z0-9]+)+@x$"},
        },
        {
            "name": "pattern",
            "kind": "verifier",
            "check": "format",
            "form": "regex",
            "pattern": "(a|aa)+$",
            "timeout_seconds": 60,
        },
        {"name": "warmth", "kind": "verifier", "check": "sentiment"},
        {"name": "length", "kind": "verifier", "check": "length"},
    ]
    with running_scorer(
        folder,
        plugins=install_plugin(folder / "plugins", "touchy", PLUGIN),
        traits=[trait | {"normalisation": {"kind": "identity"}} for trait in traits],
        engine={"sample_seconds": SECONDS, "text_workers": 2},
        metrics={"address": "127.0.0.1:0"},
    ) as running:
        assert running.info().readiness.ready, running.info().readiness.reasons
        yield running


def _score(
    scorer: ScorerProcess, *responses: str, timeout: float = 120, traits: tuple[str, ...] = TRAITS
) -> types_pb2.RewardMatrix:
    samples = [
        scorer_pb2.Sample(prompt=prompts_pb2.Prompt(text="How?"), response=response)
        for response in responses
    ]
    request = scorer_pb2.ScoreRequest(samples=samples, traits=traits)
    return scorer.stub.Score(request, timeout=timeout).rewards


def _failed(rewards: types_pb2.RewardMatrix, i: int) -> tuple[list[str], str, str]:
    """The traits that could not score a sample, the reason and the message."""
    status = rewards.statuses[i]
    d = len(rewards.traits)
    missing = [
        name
        for name, raw in zip(rewards.traits, rewards.raw[i * d : (i + 1) * d], strict=True)
        if math.isnan(raw)
    ]
    assert list(status.failed_traits) == missing
    info = error_details_pb2.ErrorInfo()
    for detail in status.status.details:
        detail.Unpack(info)
    return missing, info.reason, status.status.message


def test_a_text_costs_only_its_sample(scorer: ScorerProcess) -> None:
    bad = [*TIMED_OUT, *ENDED, *RAISED]
    responses = [text for i, name in enumerate(bad) for text in (f"good {i}", name)]
    rewards = _score(scorer, *responses, "print", "the end")
    for i, response in enumerate(responses):
        missing, reason, message = _failed(rewards, i)
        if i % 2 == 0:
            assert missing == [], response
            continue
        assert missing == ["touchy"], response
        assert rewards.statuses[i].status.code == grpc.StatusCode.INTERNAL.value[0]
        if response in TIMED_OUT:
            assert (reason, "longer than 1 s" in message) == ("SCORING_TIMED_OUT", True)
        else:
            assert reason == "SCORING_FAILED"
            assert (ENDED | RAISED)[response] in message
    for i in (len(responses), len(responses) + 1):
        assert _failed(rewards, i)[0] == []
    assert list(rewards.raw[0::5])[-2:] == [5.0, 7.0]
    assert scorer.metrics()[("text_workers_replaced_total",)] >= len(TIMED_OUT) + len(ENDED)
    assert scorer.info().readiness.ready


def test_texts_within_all_limits(scorer: ScorerProcess) -> None:
    """Each once stopped every trait, or its own."""
    emoji, long = "😀" * 32_000, "a" * 5000 + "b"
    rewards = _score(scorer, emoji, BACKTRACKING, long, "fine")
    assert _failed(rewards, 0)[0] == []
    assert _failed(rewards, 1)[:2] == (["schema"], "SCORING_TIMED_OUT")
    assert _failed(rewards, 2)[:2] == (["pattern"], "SCORING_TIMED_OUT")
    assert _failed(rewards, 3)[0] == []


def test_others_are_scored_while_a_text_never_ends(scorer: ScorerProcess) -> None:
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(_score, scorer, *["sleep"] * 6, traits=("touchy",))
        time.sleep(0.3)
        start = time.monotonic()
        for i in range(5):
            assert _failed(_score(scorer, f"fine {i}"), 0)[0] == []
        assert not stuck.done()
        assert time.monotonic() - start < 6 * SECONDS
        assert all(_failed(stuck.result(60), i)[0] == ["touchy"] for i in range(6))


def test_a_caller_that_goes_away_frees_its_worker(scorer: ScorerProcess) -> None:
    with pytest.raises(grpc.RpcError):
        _score(scorer, *["sleep"] * 60, timeout=0.5)
    assert _failed(_score(scorer, "fine", timeout=20), 0)[0] == []


def test_workers_that_always_die_are_told_by_readiness(tmp_path: Path) -> None:
    trait = {"name": "touchy", "kind": "touchy", "normalisation": {"kind": "identity"}}
    plugins = install_plugin(tmp_path / "plugins", "touchy", PLUGIN)
    config = {"traits": [trait], "engine": {"text_workers": 1}, "drain_seconds": 2}
    with running_scorer(tmp_path, plugins=plugins, **config) as running:
        rewards = _score(running, *["leave"] * 3, traits=("touchy",))
        assert all(_failed(rewards, i)[1] == "SCORING_FAILED" for i in range(3))
        readiness = running.info().readiness
        assert not readiness.ready
        assert "the last 3 text workers ended at once" in readiness.reasons[0]
        _score(running, "fine", traits=("touchy",))
        assert running.info().readiness.ready
        # SIGTERM ends it in time, whatever a worker does, and its workers with it.
        workers = _children(running.process.pid)
        assert workers
        with ThreadPoolExecutor(1) as pool:
            stuck = pool.submit(_score, running, "deaf", traits=("touchy",))
            time.sleep(0.5)
            start = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(20) == 0, running.log.read_text()
            assert time.monotonic() - start < 12
            with pytest.raises(grpc.RpcError):
                stuck.result(20)
        assert not any(_alive(pid) for pid in workers)


def test_workers_die_with_a_killed_scorer(tmp_path: Path) -> None:
    trait = {"name": "touchy", "kind": "touchy", "normalisation": {"kind": "identity"}}
    plugins = install_plugin(tmp_path / "plugins", "touchy", PLUGIN)
    with (
        running_scorer(tmp_path, plugins=plugins, traits=[trait]) as running,
        ThreadPoolExecutor(1) as pool,
    ):
        stuck = pool.submit(_score, running, "deaf", traits=("touchy",))
        _until(lambda: bool(_children(running.process.pid)))
        time.sleep(0.5)
        workers = _children(running.process.pid)
        running.process.kill()
        running.process.wait()
        with pytest.raises(grpc.RpcError):
            stuck.result(20)
    if sys.platform == "linux":
        _until(lambda: not any(_alive(pid) for pid in workers))


def _children(pid: int) -> list[int]:
    command = ["ps", "-o", "pid=", "--ppid", str(pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def _until(condition: Any) -> None:
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)
