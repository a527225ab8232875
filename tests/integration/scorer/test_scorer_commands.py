"""`palmfolio score` and `palmfolio traits` with a real scorer."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import palmfolio
from palmfolio import Sample
from palmfolio.cli.app import run
from tests.support.services.scorer_process import TRAITS, ScorerProcess, running_scorer

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def calibrating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScorerProcess]:
    """A scorer that keeps calibrations."""
    folder = tmp_path_factory.mktemp("commands")
    with running_scorer(
        folder, traits_file=str(TRAITS), state_dir=str(folder / "state")
    ) as running:
        yield running


@pytest.fixture
def command(
    calibrating: ScorerProcess,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    """Runs a command in an empty folder; its code and what it wrote."""
    (tmp_path / "endpoints.json").write_text(json.dumps({"scorer": calibrating.address}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PALMFOLIO_ENDPOINTS", "endpoints.json")

    def execute(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        written = capsys.readouterr()
        return code, written.out, written.err

    return execute


@pytest.fixture
def samples(tmp_path: Path) -> str:
    """40 responses of different lengths."""
    path = tmp_path / "samples.jsonl"
    entries = [
        {"prompt": "How do I bake bread?", "response": "Knead flour well. " * (1 + 7 * i % 40)}
        for i in range(40)
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return str(path)


def _json(outcome: tuple[int, str, str]) -> Any:
    code, out, err = outcome
    assert code == 0, err
    return json.loads(out)


def test_a_file_is_scored_into_a_file(command: Command, samples: str, tmp_path: Path) -> None:
    summary = _json(
        command("score", samples, "--traits", "brevity,warmth", "--output", "x.jsonl", "--json")
    )
    assert (summary["samples"], summary["failed"]) == (40, 0)
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [row["raw"]["brevity"] for row in rows] == [len(row["response"].strip()) for row in rows]
    mean = sum(row["normalised"]["warmth"] for row in rows) / 40
    assert summary["traits"]["warmth"]["mean"] == pytest.approx(mean)
    assert list(summary["traits"]) == ["brevity", "warmth"]


def test_a_trait_is_explained(command: Command) -> None:
    relevance = _json(command("traits", "explain", "relevance", "--json"))
    assert relevance["kind"] == "embedding_similarity" and relevance["model"]
    assert relevance["version"] and relevance["provenance"]["model_revision"]
    _, out, _ = command("traits", "explain", "relevance")
    for value in (relevance["kind"], relevance["model"], relevance["version"]):
        assert value in out
    code, _, err = command("traits", "explain", "humour")
    assert code == 2 and "relevance, brevity, warmth" in err


@pytest.mark.parametrize("arguments", [("traits",), ("traits", "list")])
def test_traits_are_listed(command: Command, arguments: tuple[str, ...]) -> None:
    traits = _json(command(*arguments, "--json"))
    assert [trait["name"] for trait in traits] == ["relevance", "brevity", "warmth"]


def test_calibration_shows_versions_and_distributions(command: Command, samples: str) -> None:
    arguments = ("traits", "calibrate", "brevity", "--sample", samples, "--method", "minmax")
    before = _json(command("traits", "explain", "brevity", "--json"))
    dry = _json(command(*arguments, "--dry-run", "--json"))
    assert not dry["stored"] and dry["version_before"] == before["version"]
    assert _json(command("traits", "explain", "brevity", "--json")) == before
    done = _json(command(*arguments, "--json"))
    assert done["stored"] and done["version_after"] == dry["version_after"] != before["version"]
    after = _json(command("traits", "explain", "brevity", "--json"))
    assert (after["version"], after["normalisation"]) == (
        done["version_after"],
        done["normalisation_after"],
    )
    first, *_, last = done["distribution"]
    assert first["raw"] < last["raw"]
    # Shorter is better before and after, and the fit spans the sample.
    assert (first["after"], last["after"]) == (0, 1)
    code, out, _ = command(*arguments)
    assert code == 0 and done["version_after"] in out and "50%" in out


def test_what_cannot_be_calibrated_is_one_paragraph(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text('{"prompt": "p", "response": "r"}\n' * 3)
    code, _, err = command(
        "traits", "calibrate", "brevity", "--sample", str(path), "--method", "minmax"
    )
    assert code == 2 and "8 to" in err and len(err.splitlines()) == 1


async def test_a_calibration_may_be_repeated_under_its_id(calibrating: ScorerProcess) -> None:
    samples = [Sample("p", "x" * (10 + i)) for i in range(12)]
    async with palmfolio.AsyncClient(scorer=calibrating.address) as client:

        async def calibrate(share: list[Sample]) -> palmfolio.Calibration:
            method = palmfolio.CalibrationMethod.QUANTILE
            return await client.scorer.calibrate(
                "brevity", share, method=method, request_id="one calibration"
            )

        first = await calibrate(samples)
        assert (first.trait.name, first.scored_samples) == ("brevity", 12)
        assert first.raw_quantiles == (10, 12.75, 15.5, 18.25, 21)
        again = await calibrate(samples)
        assert again.trait == first.trait
        with pytest.raises(palmfolio.AlreadyExists):
            await calibrate(samples[:10])
