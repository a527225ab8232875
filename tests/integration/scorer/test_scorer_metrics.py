"""The scorer's metrics say what it computed."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from palmfolio.v1 import scorer_pb2
from tests.support.services.scorer_process import ScorerProcess, running_scorer
from tests.support.tiny_models import classifier

TEXTS = ["a", "flour, water and yeast", "bake it", "bake it", "the moon is far away " * 3]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A classifier whose batches are padded."""
    return classifier("deberta", tmp_path / "rater")


@pytest.fixture
def scorer(tmp_path: Path, model: Path) -> Iterator[ScorerProcess]:
    """A scorer of `rating` and `length`."""
    traits = [
        {
            "name": "rating",
            "kind": "sequence_classifier",
            "model": str(model),
            "template": "{response}",
        },
        {"name": "length", "kind": "verifier", "check": "length"},
    ]
    with running_scorer(
        tmp_path,
        traits=[trait | {"normalisation": {"kind": "identity"}} for trait in traits],
        metrics={"address": "127.0.0.1:0"},
        engine={"token_budget": 100_000},
    ) as running:
        yield running


def test_what_was_scored_is_counted(scorer: ScorerProcess, model: Path) -> None:
    samples = [scorer_pb2.Sample(response=text) for text in [*TEXTS, "x" * 40_000]]
    for _ in range(2):
        scorer.stub.Score(scorer_pb2.ScoreRequest(samples=samples), timeout=60)
    values = scorer.metrics()
    for trait in ("rating", "length"):
        assert values[("samples_total", "OK", trait)] == 2 * len(TEXTS)
        assert values[("samples_total", "INVALID_ARGUMENT", trait)] == 2
    labels = ("cpu", "float32", str(model))
    different = set(TEXTS)
    lengths = [len(AutoTokenizer.from_pretrained(model)(text)["input_ids"]) for text in different]
    assert values[("inputs_total", *labels)] == len(different)
    assert values[("reused_total", *labels)] == 2 * len(TEXTS) - len(different)
    assert values[("tokens_total", *labels)] == sum(lengths)
    assert 1 <= values[("batches_total", *labels)] <= len(different)
    padded = len(lengths) * max(lengths) - sum(lengths)
    assert 0 <= values[("padding_total", *labels)] <= padded
    assert values[("failed_total", *labels)] == 0
    (loaded,) = scorer.info().loaded_models
    assert values[("model_bytes", *labels)] == loaded.parameter_bytes
    for idle in (("queued_samples",), ("queued_characters",), ("waiting_inputs", *labels)):
        assert values[idle] == 0


def test_reloads_are_counted(scorer: ScorerProcess) -> None:
    config = scorer.log.with_name("scorer.yaml")
    text = config.read_text()
    for content, outcome in ((text, "taken"), ("traits: [", "refused"), ("colour: red", "refused")):
        config.write_text(content)
        before = scorer.metrics().get(("reloads_total", outcome), 0)
        scorer.process.send_signal(signal.SIGHUP)
        give_up = time.monotonic() + 60
        while scorer.metrics().get(("reloads_total", outcome), 0) != before + 1:
            assert time.monotonic() < give_up, scorer.log.read_text()
            time.sleep(0.05)
