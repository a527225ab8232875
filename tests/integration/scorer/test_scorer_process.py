"""The scorer over a real socket: rewards, limits, errors, health, shutdown."""

import math
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from palmfolio.v1 import prompts_pb2, scorer_pb2, types_pb2
from tests.support.services.scorer_process import ScorerProcess, running_scorer
from tests.support.tiny_models import classifier

SERVICE = "palmfolio.v1.Scorer"
QUESTION = "How do I bake bread?"


def _samples(*responses: str) -> list[scorer_pb2.Sample]:
    prompt = prompts_pb2.Prompt(text=QUESTION)
    return [scorer_pb2.Sample(prompt=prompt, response=response) for response in responses]


def _score(
    scorer: ScorerProcess, *responses: str, traits: tuple[str, ...] = ()
) -> types_pb2.RewardMatrix:
    request = scorer_pb2.ScoreRequest(samples=_samples(*responses), traits=traits)
    return scorer.stub.Score(request, timeout=60).rewards


def _violations(error: grpc.RpcError) -> dict[str, str]:
    status = rpc_status.from_call(error)
    return _fields(status)


def _fields(status: status_pb2.Status) -> dict[str, str]:
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(bad)
    return {violation.field: violation.description for violation in bad.field_violations}


def test_rewards_say_what_the_traits_are_about(scorer: ScorerProcess) -> None:
    good = "I'd love to help! Knead flour, water and yeast; bake the bread."
    long = "Bread is baked in an oven. " * 12
    cold = "I hate this terrible question about the awful moon."
    rewards = _score(scorer, good, long, cold)
    assert list(rewards.traits) == ["relevance", "brevity", "warmth"]
    assert all(rewards.trait_versions)
    normalised = [rewards.normalised[3 * i : 3 * i + 3] for i in range(3)]
    raw = [rewards.raw[3 * i : 3 * i + 3] for i in range(3)]
    assert all(0 <= value <= 1 for row in normalised for value in row)
    assert min(normalised[0][0], normalised[1][0]) > normalised[2][0]
    assert raw[0][1] == len(good) and raw[1][1] == len(long.strip())
    assert normalised[1][1] == 0 < normalised[2][1]
    assert normalised[0][2] > 0.5 > normalised[2][2]
    assert [status.status.code for status in rewards.statuses] == [0, 0, 0]


def test_a_trait_may_be_named_with_or_without_its_prefix(scorer: ScorerProcess) -> None:
    rewards = _score(scorer, "hello", traits=("traits/warmth", "brevity"))
    assert list(rewards.traits) == ["warmth", "brevity"]
    assert rewards.raw[1] == 5


def test_a_batch_scores_as_its_samples_do_alone(scorer: ScorerProcess) -> None:
    responses = [f"Answer {i}: " + "flour and water " * i for i in range(24)]
    together = _score(scorer, *responses).raw
    with_others = _score(scorer, *reversed(responses)).raw
    separate = [value for response in responses for value in _score(scorer, response).raw]
    assert together == pytest.approx(separate, abs=1e-5)
    flipped = [v for i in reversed(range(24)) for v in with_others[3 * i : 3 * i + 3]]
    assert flipped == pytest.approx(separate, abs=1e-5)


def test_poisoned_samples_fail_no_others_and_say_why(scorer: ScorerProcess) -> None:
    rewards = _score(scorer, "fine", "x" * 40_000, "", "nul \0 and \x07 control", "fine")
    codes = [status.status.code for status in rewards.statuses]
    assert codes == [0, grpc.StatusCode.INVALID_ARGUMENT.value[0], 0, 0, 0]
    status = rewards.statuses[1]
    assert list(status.failed_traits) == ["relevance", "brevity", "warmth"]
    assert "32768" in _fields(status.status)["samples[1].response"]
    assert all(math.isnan(value) for value in rewards.raw[3:6])
    assert all(math.isnan(value) for value in rewards.normalised[3:6])
    rest = [*rewards.raw[:3], *rewards.raw[6:]]
    assert all(math.isfinite(value) for value in rest)
    assert list(rewards.raw[:3]) == list(rewards.raw[12:])


@pytest.mark.parametrize("bad", [b"\xff\xfe12", b"\xed\xa0\x801"], ids=["bytes", "surrogate"])
def test_text_that_is_not_utf8_fails_only_its_sample(scorer: ScorerProcess, bad: bytes) -> None:
    request = scorer_pb2.ScoreRequest(samples=_samples("hello", "QQQQ")).SerializeToString()
    score: Any = scorer.channel.unary_unary(
        f"/{SERVICE}/Score", response_deserializer=scorer_pb2.ScoreResponse.FromString
    )
    rewards = score(request.replace(b"QQQQ", bad)).rewards
    assert [status.status.code for status in rewards.statuses] == [0, 3]
    assert "not valid UTF-8" in _fields(rewards.statuses[1].status)["samples[1].response"]
    assert list(rewards.raw[:3]) == list(_score(scorer, "hello").raw)


@pytest.mark.parametrize(
    ("count", "traits", "field", "description"),
    [
        (0, [], "samples", "1 to 64"),
        (65, [], "samples", "1 to 64"),
        (1, ["warmth", "humour"], "traits[1]", "relevance, brevity, warmth"),
        (1, ["warmth", "traits/warmth"], "traits[1]", "twice"),
    ],
)
def test_bad_requests_name_the_field_and_what_is_allowed(
    scorer: ScorerProcess, count: int, traits: list[str], field: str, description: str
) -> None:
    request = scorer_pb2.ScoreRequest(samples=_samples(*["hi"] * count), traits=traits)
    with pytest.raises(grpc.RpcError) as refused:
        scorer.stub.Score(request, timeout=20)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert description in _violations(refused.value)[field]


def test_traits_are_listed_in_pages(scorer: ScorerProcess) -> None:
    names, token = [], ""
    while True:
        page = scorer.stub.ListTraits(scorer_pb2.ListTraitsRequest(page_size=2, page_token=token))
        assert len(page.traits) <= 2
        names += [trait.name for trait in page.traits]
        if not (token := page.next_page_token):
            break
    assert names == ["traits/relevance", "traits/brevity", "traits/warmth"]
    assert page.traits[0].normalisation == "minmax(-1, 1)" and page.traits[0].version
    for wrong in ({"page_token": "?"}, {"page_token": "LTE="}, {"page_size": -1}):
        with pytest.raises(grpc.RpcError) as refused:
            scorer.stub.ListTraits(scorer_pb2.ListTraitsRequest(**wrong))
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_trait_says_what_its_version_is_made_of(scorer: ScorerProcess) -> None:
    relevance, brevity, _ = scorer.stub.ListTraits(scorer_pb2.ListTraitsRequest()).traits
    assert relevance.model and not brevity.model
    made_of = dict(relevance.provenance)
    assert made_of["kind"] == "embedding_similarity" and made_of["model_revision"]
    assert made_of["options.dtype"] == "float32"
    assert brevity.provenance["check"] == "length"


def test_server_info_reports_limits_and_devices(scorer: ScorerProcess) -> None:
    info = scorer.info()
    assert info.service == "scorer" and info.readiness.ready
    assert info.limits["max_samples"] == 64 and info.limits["max_characters"] == 32_768
    assert len(info.devices) == 1
    health = health_pb2_grpc.HealthStub(scorer.channel)
    answer = health.Check(health_pb2.HealthCheckRequest(service=SERVICE))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_traits_that_fail_to_load_say_why_and_leave_the_rest_working(tmp_path: Path) -> None:
    roots, outside = tmp_path / "models", tmp_path / "elsewhere"
    classifier("bert", roots / "good")
    classifier("bert", outside / "good")
    truncated, pickled = roots / "truncated", roots / "pickled"
    for folder in (truncated, pickled):
        shutil.copytree(roots / "good", folder)
    weights = truncated / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    (roots / "linked").symlink_to(outside / "good")
    broken = {
        "missing": (roots / "none", "does not exist"),
        "truncated": (truncated, "cannot load the model .*truncated"),
        "pickled": (pickled, "pytorch_model.bin.*never loaded"),
        "outside": (roots / ".." / "elsewhere" / "good", "outside `model_roots`"),
        "linked": (roots / "linked", "outside `model_roots`"),
        "hub": ("owner/name", "allow_hub"),
    }
    options = {"kind": "sequence_classifier", "template": "{response}"}
    traits: list[dict[str, Any]] = [
        options | {"name": name, "model": str(where)} for name, (where, _) in broken.items()
    ]
    traits += [
        options | {"name": "rating", "model": str(roots / "good")},
        {"name": "brief", "kind": "verifier", "check": "length"},
        {"name": "sum", "kind": "composite", "of": {"brief": 1, "truncated": 1}},
    ]
    config: dict[str, Any] = {
        "traits": [trait | {"normalisation": {"kind": "identity"}} for trait in traits],
        "model_roots": [str(roots)],
    }
    with running_scorer(tmp_path, **config) as scorer:
        readiness = scorer.info().readiness
        assert not readiness.ready
        reasons = dict(reason.removeprefix("trait ").split(": ", 1) for reason in readiness.reasons)
        assert list(reasons) == [*broken, "sum"]
        for name, (_, message) in broken.items():
            assert re.search(message, reasons[name]), reasons[name]
        assert reasons["sum"].startswith("its part truncated: ")
        rewards = _score(scorer, "four")
        named = dict(zip(rewards.traits, rewards.raw, strict=True))
        assert {name for name, value in named.items() if math.isnan(value)} == set(reasons)
        assert named["brief"] == 4
        assert list(rewards.statuses[0].failed_traits) == list(reasons)
        assert rewards.statuses[0].status.code == grpc.StatusCode.UNAVAILABLE.value[0]
        listed = scorer.stub.ListTraits(scorer_pb2.ListTraitsRequest()).traits
        failures = {trait.name.removeprefix("traits/"): trait.failure for trait in listed}
        assert {name: failure for name, failure in failures.items() if failure} == reasons
        health = health_pb2_grpc.HealthStub(scorer.channel)
        alive = health.Check(health_pb2.HealthCheckRequest(service="")).status
        ready = health.Check(health_pb2.HealthCheckRequest(service=SERVICE)).status
        assert alive == health_pb2.HealthCheckResponse.SERVING != ready
        scorer.process.send_signal(signal.SIGTERM)
        assert scorer.process.wait(20) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("traits: []", "at least one trait"),
        ("traits: [{name: a, kind: b, normalisation: {kind: identity}}]", "unknown kind"),
        ("traits_file: nowhere.yaml", "nowhere.yaml"),
        ("colour: red", "colour"),
    ],
)
def test_a_wrong_configuration_ends_the_process_with_the_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    config = tmp_path / "scorer.yaml"
    config.write_text(text)
    command = [sys.executable, "-m", "palmfolio_scorer", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
