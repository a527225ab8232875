"""`palmfolio score`: samples in, rewards out, and what is wrong with either."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pyarrow.parquet
import pytest

from palmfolio.cli import main
from palmfolio.v1 import scorer_pb2, types_pb2
from tests.support.cli_outcome import Outcome
from tests.support.sdk_peer import Peer, abort

Command = Callable[..., Outcome]


def _answer(request: Any, version: str) -> scorer_pb2.ScoreStreamResponse:
    lengths = [float(len(item.sample.response)) for item in request.items]
    matrix = types_pb2.RewardMatrix(
        traits=["length"],
        trait_versions=[version],
        raw=[float("nan") if value == 0 else value for value in lengths],
        normalised=[float("nan") if value == 0 else value / 10 for value in lengths],
    )
    for value in lengths:
        status = matrix.statuses.add()
        if value == 0:
            status.status.code = 13
            status.status.message = "nothing to score"
            status.failed_traits.append("length")
    return scorer_pb2.ScoreStreamResponse(ids=[item.id for item in request.items], rewards=matrix)


@pytest.fixture(autouse=True)
def scorer(peer: Peer) -> None:
    """A scorer of one trait, whose version is the number of the message."""
    trait = scorer_pb2.Trait(name="traits/length", version="1")
    peer.on("ListTraits", lambda *_: scorer_pb2.ListTraitsResponse(traits=[trait]))
    peer.on("GetServerInfo", lambda *_: types_pb2.ServerInfo(limits={"max_samples": 2}))
    peer.on("ScoreStream", lambda requests, _: (_answer(request, "1") for request in requests))


def _samples(folder: Path, *responses: str) -> str:
    path = folder / "samples.jsonl"
    lines = [json.dumps({"prompt": "p", "response": response}) for response in responses]
    path.write_text("\n\n".join(lines) + "\n")
    return str(path)


def test_rewards_are_printed_in_order(command: Command, endpoints: str, tmp_path: Path) -> None:
    path = _samples(tmp_path, "a", "bb", "ccc", "dddd", "eeeee")
    outcome = command("score", path, "--json", "--endpoints", endpoints)
    assert outcome.code == 0
    assert outcome.json["raw"] == [[1.0], [2.0], [3.0], [4.0], [5.0]]
    assert outcome.json["trait_versions"] == ["1"]


def test_one_sample_comes_from_the_command_line(command: Command, endpoints: str) -> None:
    outcome = command("score", "--prompt", "p", "--response", "four", "--endpoints", endpoints)
    assert outcome.code == 0
    assert "0.400" in outcome.out


@pytest.mark.parametrize("output", [(), ("--output", "rewards.jsonl")], ids=["printed", "written"])
def test_samples_that_cannot_be_scored_fail_the_command_but_not_the_others(
    command: Command, endpoints: str, tmp_path: Path, output: tuple[str, ...]
) -> None:
    path = _samples(tmp_path, "a", "", "ccc")
    outcome = command("score", path, "--json", "--endpoints", endpoints, *output)
    assert outcome.code == 1
    assert outcome.err == ("error: 1 of 3 samples could not be scored: line 3: nothing to score\n")
    if output:
        assert (outcome.json["samples"], outcome.json["failed"]) == (3, 1)
        assert outcome.json["errors"] == [{"line": 3, "message": "nothing to score"}]
        assert outcome.json["traits"]["length"]["scored"] == 2
    else:
        assert outcome.json["normalised"] == [[pytest.approx(0.1)], [None], [pytest.approx(0.3)]]
        assert outcome.json["statuses"][1]["failure"]["message"] == "nothing to score"


def test_only_the_first_reasons_are_told(command: Command, endpoints: str, tmp_path: Path) -> None:
    outcome = command("score", _samples(tmp_path, *[""] * 9), "--endpoints", endpoints)
    assert outcome.code == 1
    assert outcome.err.startswith("error: 9 of 9 samples")
    assert outcome.err.count("nothing to score") == 5 and outcome.err.endswith("; …\n")


def test_json_lines_hold_texts_rewards_versions_and_errors(
    command: Command, endpoints: str, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(
        '{"prompt": "wie?", "response": "für", "reference": "r", "extra": 3}\n'
        '{"prompt": "\\ud800", "response": ""}\n'
    )
    outcome = command("score", str(path), "--output", "out/x.jsonl", "--endpoints", endpoints)
    assert outcome.code == 1
    assert "2 samples" in outcome.out and "out/x.jsonl" in outcome.out
    first, second = map(json.loads, (tmp_path / "out/x.jsonl").read_text().splitlines())
    assert first == {
        "line": 1,
        "prompt": "wie?",
        "response": "für",
        "reference": "r",
        "normalised": {"length": pytest.approx(0.3)},
        "raw": {"length": 3.0},
        "versions": {"length": "1"},
        "error": None,
    }
    assert second["prompt"] == "\ud800" and second["raw"] == {"length": None}
    assert second["error"] == "prompt: is not valid UTF-8 at character 0"
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["x.jsonl"]


def test_parquet_holds_the_same_in_columns(
    command: Command, endpoints: str, tmp_path: Path
) -> None:
    responses = ["", *("x" * (i % 30) for i in range(1, 9000))]
    path = _samples(tmp_path, *responses)
    outcome = command("score", path, "--output", "x.parquet", "--endpoints", endpoints, "--json")
    failed = responses.count("")
    assert outcome.code == 1 and f"{failed} of 9000 samples" in outcome.err
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    assert table["response"].to_pylist() == responses
    raw = [float(len(text)) or None for text in responses]
    assert table["raw.length"].to_pylist() == raw
    assert table["normalised.length"].null_count == failed
    assert set(table["version.length"].to_pylist()) == {"1"}
    assert table["error"].to_pylist()[:2] == ["nothing to score", None]
    assert table["line"].to_pylist()[:3] == [1, 3, 5]


def test_parquet_without_pyarrow_says_what_to_install(
    command: Command,
    endpoints: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    peer: Peer,
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    path = _samples(tmp_path, "a")
    outcome = command("score", path, "--output", "x.parquet", "--endpoints", endpoints)
    assert outcome.code == 2
    assert "pip install 'palmfolio[parquet]'" in outcome.err
    assert peer.requests("ScoreStream") == []


def test_another_ending_is_bad_usage(command: Command, endpoints: str, tmp_path: Path) -> None:
    path = _samples(tmp_path, "a")
    outcome = command("score", path, "--output", "x.csv", "--endpoints", endpoints)
    assert outcome.code == 2
    assert "must end in .jsonl or .parquet" in outcome.err


def test_what_was_scored_before_an_error_is_kept_aside(
    peer: Peer, command: Command, endpoints: str, tmp_path: Path
) -> None:
    def handler(requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        for number, request in enumerate(requests):
            if number == 3:
                abort(context, grpc.StatusCode.INTERNAL, "broken for good")
            yield _answer(request, "1")

    peer.on("ScoreStream", handler)
    path = _samples(tmp_path, *"abcdefghijkl")
    (tmp_path / "x.jsonl").write_text("from before")
    outcome = command("score", path, "--output", "x.jsonl", "--endpoints", endpoints)
    assert outcome.code == 1
    assert "broken for good" in outcome.err
    kept = (tmp_path / "x.jsonl.partial").read_text().splitlines()
    assert f"note: {len(kept)} rows are in x.jsonl.partial" in outcome.err
    assert [json.loads(line)["response"] for line in kept] == list("abcdefghijkl"[: len(kept)])
    assert (tmp_path / "x.jsonl").read_text() == "from before"


def test_a_version_that_changes_midway_is_an_error(
    peer: Peer, command: Command, endpoints: str, tmp_path: Path
) -> None:
    peer.on(
        "ScoreStream",
        lambda requests, _: (_answer(request, str(i // 2)) for i, request in enumerate(requests)),
    )
    path = _samples(tmp_path, *"abcdefghijkl")
    outcome = command("score", path, "--output", "x.jsonl", "--endpoints", endpoints)
    assert outcome.code == 1
    assert "the version of length changed while scoring" in outcome.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 2: not JSON"),
        (b"[]", "line 2: must be an object"),
        (b'{"prompt": "p"}', "line 2: `response` is missing"),
        (b'{"response": "r"}', "line 2: `prompt` is missing"),
        (b'{"prompt": "p", "response": 3}', "line 2: `response` must be a text, not int"),
        (b'{"prompt": "p", "response": "r", "reference": []}', "`reference` must be a text"),
        (b'{"prompt": "\xff", "response": "r"}', "line 2: not UTF-8 at byte 12"),
    ],
)
def test_bad_lines_are_named_before_anything_is_scored(
    peer: Peer, command: Command, endpoints: str, tmp_path: Path, line: bytes, message: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'{"prompt": "p", "response": "r"}\n' + line + b"\n")
    outcome = command("score", str(path), "--endpoints", endpoints)
    assert outcome.code == 2
    assert message in outcome.err
    assert peer.requests("ScoreStream") == []


def test_a_file_without_samples_is_named(command: Command, endpoints: str, tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text("\n")
    outcome = command("score", str(path), "--endpoints", endpoints)
    assert outcome.code == 2
    assert "holds no samples" in outcome.err


def test_a_file_that_is_not_there_is_named(command: Command, endpoints: str) -> None:
    outcome = command("score", "absent.jsonl", "--endpoints", endpoints)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ") and "absent.jsonl" in outcome.err


@pytest.mark.parametrize("output", [None, "x.jsonl", "x.parquet"])
def test_samples_that_were_cut_are_told(
    command: Command, endpoints: str, tmp_path: Path, peer: Peer, output: str | None
) -> None:
    def cut(request: Any) -> scorer_pb2.ScoreStreamResponse:
        answer = _answer(request, "1")
        for item, status in zip(request.items, answer.rewards.statuses, strict=True):
            if len(item.sample.response) > 3:
                status.cut_tokens["length"] = len(item.sample.response) - 3
        return answer

    peer.on("ScoreStream", lambda requests, _: (cut(request) for request in requests))
    path = _samples(tmp_path, "a", "four", "ccc", "sixsix")
    wanted = ("--output", output) if output else ()
    outcome = command("score", path, "--endpoints", endpoints, *wanted)
    assert outcome.code == 0
    assert outcome.err == (
        "note: samples longer than a model reads were cut: 2 for length; first lines: 3, 7\n"
    )
    if output is None:
        assert "length: 3 tokens cut off" in outcome.out
        assert outcome.out.count("cut off") == 2
    elif output == "x.jsonl":
        rows = map(json.loads, (tmp_path / output).read_text().splitlines())
        assert [row.get("cut") for row in rows] == [None, {"length": 1}, None, {"length": 3}]
        assert "cut" in outcome.out
    else:
        table = pyarrow.parquet.read_table(tmp_path / output)
        assert table["cut.length"].to_pylist() == [0, 1, 0, 3]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_texts_that_a_terminal_cannot_show_are_escaped(
    endpoints: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    arguments: tuple[str, ...],
) -> None:
    path = tmp_path / "samples.jsonl"
    responses = ("fine", "cut emoji \ud83d", "whole 😀", "Ελληνικά \udcff")
    path.write_text(
        "\n".join(json.dumps({"prompt": "a", "response": response}) for response in responses)
    )
    shown = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", shown[0])
    monkeypatch.setattr(sys, "stderr", shown[1])
    with pytest.raises(SystemExit) as ended:
        main(["score", str(path), "--endpoints", endpoints, *arguments])
    shown[0].flush()
    shown[1].flush()
    assert ended.value.code == 1
    buffers = [stream.buffer.getvalue() for stream in shown]
    assert b"2 of 4 samples could not be scored: line 2: response: is not valid UTF-8" in buffers[1]
    assert b"Traceback" not in buffers[1] and buffers[0]
