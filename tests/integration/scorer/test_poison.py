"""Samples that cannot be scored say why; their neighbours are scored, and the scorer stays up."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import torch
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from palmfolio.v1 import prompts_pb2, scorer_pb2, types_pb2
from tests.support.services.scorer_process import ScorerProcess, install_plugin, running_scorer
from tests.support.tiny_models import classifier, language_model

SERVICE = "palmfolio.v1.Scorer"
PLUGIN = """
import sys
from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.kind import TextTrait, TraitOptions

class Plugin(TextTrait[TraitOptions]):
    options_type = TraitOptions

    def reward(self, sample: Sample) -> float:
        if "a bug" in sample.response:
            return {}["a key"]
        if "an exit" in sample.response:
            sys.exit("leaving")
        if "no number" in sample.response:
            return float("nan")
        if "no recursion" in sample.response:
            return self.reward(sample)
        if "no sample" in sample.response:
            raise SampleError("is not to its taste", field="response")
        return 0.5
"""
TRAITS = ("rating", "likely", "pattern", "touchy", "length", "both")
ALL = frozenset(TRAITS)
TEN_MB = 10 * 2**20


@dataclass(frozen=True)
class Poison:
    """A response, the traits that cannot score it, and what their failure says."""

    response: str | bytes
    failed: frozenset[str]
    message: str = ""
    field: str = ""
    prompt: str = "How?"


POISON = {
    "nan": Poison("a Z is not finite", frozenset({"rating", "both"}), "not finite"),
    "10 MB": Poison("x" * TEN_MB, ALL, "at most 32768", "response"),
    "10 MB prompt": Poison("fine", ALL, "at most 32768", "prompt", prompt="é" * (TEN_MB // 5)),
    "empty": Poison("", frozenset({"rating", "likely", "both"}), "is empty", "response"),
    "blank": Poison(" \n\t", frozenset({"rating", "likely", "both"}), "shows nothing", "response"),
    "control": Poison("nul \0 bell \x07 escape \x1b[2J feff \ufeff rtl \u202e", frozenset()),
    "noncharacter": Poison("\uffff \U0010ffff \ufdd0", frozenset()),
    "surrogate": Poison(b"lone \xed\xa0\x80", ALL, "not valid UTF-8 at byte 5", "response"),
    "overlong": Poison(b"slash \xc0\xaf", ALL, "not valid UTF-8 at byte 6", "response"),
    "cut off": Poison(b"euro \xe2\x82", ALL, "not valid UTF-8 at byte 5", "response"),
    "bytes": Poison(b"\xff\xfe\x00\x80", ALL, "not valid UTF-8 at byte 0", "response"),
    "backtracking": Poison(
        "a" * 5000 + "b", frozenset({"pattern", "likely"}), "longer than", "response"
    ),
    "bug": Poison("a bug", frozenset({"touchy"}), "KeyError: 'a key'"),
    "exit": Poison("an exit", frozenset({"touchy"}), "SystemExit: leaving"),
    "no number": Poison("no number", frozenset({"touchy"}), "nan"),
    "recursion": Poison("no recursion", frozenset({"touchy"}), "RecursionError"),
    "refused": Poison("no sample", frozenset({"touchy"}), "not to its taste", "response"),
}
GOOD = ["Knead it.", "Flour, water and yeast, and then an oven.", "yes", "x" * 60]


def _rater(folder: Path) -> Path:
    """A classifier that answers NaN to every text with a Z in it."""
    classifier("bert", folder)
    (token,) = AutoTokenizer.from_pretrained(folder)("Z", add_special_tokens=False)["input_ids"]
    weights = load_file(folder / "model.safetensors")
    weights["bert.embeddings.word_embeddings.weight"][token] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScorerProcess]:
    """A scorer of traits of each kind, all with a weak spot."""
    folder = tmp_path_factory.mktemp("poison")
    traits: list[dict[str, Any]] = [
        {
            "name": "rating",
            "kind": "sequence_classifier",
            "model": str(_rater(folder / "rater")),
            "template": "{response}",
        },
        {"name": "likely", "kind": "language_model", "model": str(language_model(folder / "lm"))},
        {
            "name": "pattern",
            "kind": "verifier",
            "check": "format",
            "form": "regex",
            "pattern": "(a|aa)+$",
            "timeout_seconds": 0.05,
        },
        {"name": "touchy", "kind": "touchy"},
        {"name": "length", "kind": "verifier", "check": "length"},
        {"name": "both", "kind": "composite", "of": {"rating": 1, "length": 1}},
    ]
    with running_scorer(
        folder,
        plugins=install_plugin(folder / "plugins", "touchy", PLUGIN),
        traits=[trait | {"normalisation": {"kind": "identity"}} for trait in traits],
        limits={"max_message_bytes": 64 * 2**20},
    ) as running:
        assert running.info().readiness.ready, running.info().readiness.reasons
        yield running
        _assert_serving(running)


def _assert_serving(scorer: ScorerProcess) -> None:
    health = health_pb2_grpc.HealthStub(scorer.channel)
    for service in ("", SERVICE):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert scorer.process.poll() is None


def _score(scorer: ScorerProcess, samples: Sequence[Poison]) -> types_pb2.RewardMatrix:
    """Scores samples whose bytes no client of ours would send."""
    request = scorer_pb2.ScoreRequest(
        samples=[
            scorer_pb2.Sample(
                prompt=prompts_pb2.Prompt(text=sample.prompt),
                response=_marked(i, sample.response),
            )
            for i, sample in enumerate(samples)
        ]
    ).SerializeToString()
    for i, sample in enumerate(samples):
        if isinstance(sample.response, bytes):
            request = request.replace(_marked(i, sample.response).encode(), sample.response)
    call: Any = scorer.channel.unary_unary(
        f"/{SERVICE}/Score", response_deserializer=scorer_pb2.ScoreResponse.FromString
    )
    rewards: types_pb2.RewardMatrix = call(request, timeout=120).rewards
    assert tuple(rewards.traits) == TRAITS
    return rewards


def _marked(position: int, response: str | bytes) -> str:
    """For bytes, a text of the same length that stands nowhere else."""
    if isinstance(response, str):
        return response
    return (chr(ord("A") + position) * 40)[: len(response)]


def _row(rewards: types_pb2.RewardMatrix, i: int) -> list[float]:
    return list(rewards.raw[i * len(TRAITS) : (i + 1) * len(TRAITS)])


def _check(rewards: types_pb2.RewardMatrix, i: int, poison: Poison) -> None:
    status = rewards.statuses[i]
    assert set(status.failed_traits) == poison.failed
    missing = {name for name, raw in zip(TRAITS, _row(rewards, i), strict=True) if math.isnan(raw)}
    assert missing == poison.failed
    if not poison.failed:
        assert status.status.code == 0
        return
    message = status.status.message
    for detail in status.status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            message += "".join(violation.description for violation in bad.field_violations)
            assert [v.field for v in bad.field_violations] == [f"samples[{i}].{poison.field}"]
    assert poison.message in message, message


@pytest.mark.parametrize("name", POISON)
def test_poison_fails_no_other(scorer: ScorerProcess, name: str) -> None:
    poison = POISON[name]
    good = [Poison(text, frozenset()) for text in GOOD]
    separate = _score(scorer, good)
    rewards = _score(scorer, [*good[:2], poison, *good[2:]])
    _check(rewards, 2, poison)
    for i, position in enumerate((0, 1, 3, 4)):
        assert rewards.statuses[position].status.code == 0
        assert _row(rewards, position) == pytest.approx(_row(separate, i), abs=1e-5)
    _assert_serving(scorer)


def test_all_poison_at_once_in_any_order(scorer: ScorerProcess) -> None:
    good = [Poison(text, frozenset()) for text in GOOD]
    known = {sample: _row(_score(scorer, [sample]), 0) for sample in good}
    for seed in range(3):
        samples = [*POISON.values(), *good]
        random.Random(seed).shuffle(samples)
        rewards = _score(scorer, samples)
        for i, sample in enumerate(samples):
            _check(rewards, i, sample)
            if sample in known:
                assert _row(rewards, i) == pytest.approx(known[sample], abs=1e-5)


def test_a_stream_goes_on_after_poison(scorer: ScorerProcess) -> None:
    texts = {
        f"{kind} {i}": sample
        for i, sample in enumerate(s for s in POISON.values() if isinstance(s.response, str))
        for kind in ("poison", "good")
    }

    def requests() -> Iterator[scorer_pb2.ScoreStreamRequest]:
        for name, poison in texts.items():
            text = poison.response if name.startswith("poison") else name
            assert isinstance(text, str)
            prompt = "How?" if name.startswith("good") else poison.prompt
            sample = scorer_pb2.Sample(prompt=prompts_pb2.Prompt(text=prompt), response=text)
            yield scorer_pb2.ScoreStreamRequest(
                items=[scorer_pb2.ScoreItem(id=name, sample=sample)]
            )

    seen = set()
    for answer in scorer.stub.ScoreStream(requests(), timeout=120):
        (name,), (status,) = answer.ids, answer.rewards.statuses
        seen.add(name)
        failed = texts[name].failed if name.startswith("poison") else frozenset()
        assert set(status.failed_traits) == failed
    assert seen == set(texts)


def test_a_message_over_the_limit_is_refused_whole(scorer: ScorerProcess) -> None:
    sample = scorer_pb2.Sample(response="x" * (65 * 2**20))
    with pytest.raises(grpc.RpcError) as refused:
        scorer.stub.Score(scorer_pb2.ScoreRequest(samples=[sample]), timeout=60)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    _assert_serving(scorer)


def test_bytes_that_are_no_request_are_refused(scorer: ScorerProcess) -> None:
    call: Any = scorer.channel.unary_unary(f"/{SERVICE}/Score")
    for data in (b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f", b"\x12\x02\xff\xfe"):
        with pytest.raises(grpc.RpcError):
            call(data, timeout=20)
    _assert_serving(scorer)
