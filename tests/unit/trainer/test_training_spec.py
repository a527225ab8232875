"""Specs: what is refused, and what makes two policies the same."""

import math

import pytest
from google.rpc import error_details_pb2

from palmfolio.v1 import prompts_pb2, scorer_pb2, trainer_pb2
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.limits import TrainerLimits
from palmfolio_runtime.prompts import ChatMessage, Prompt
from palmfolio_trainer.models.base_models import BaseModel
from palmfolio_trainer.policies.spec import TrainingRequest, TrainingSpec, parse
from palmfolio_trainer.training.methods.grpo.settings import GrpoSettings
from tests.support.prompts import text_messages

BASE = BaseModel(name="tiny", revision="r1", path="models/tiny")
TRAITS = {
    "brevity": scorer_pb2.Trait(name="traits/brevity", version="b1"),
    "warmth": scorer_pb2.Trait(name="traits/warmth", version="w1"),
    "correct": scorer_pb2.Trait(
        name="traits/correct", version="c1", fields=["reference", "response"]
    ),
    "broken": scorer_pb2.Trait(name="traits/broken", version="x1", failure="no such model"),
}


def message(**changes: object) -> trainer_pb2.PolicySpec:
    """A good spec with some fields changed."""
    fields: dict[str, object] = {
        "base_model": "tiny",
        "weights": {"values": {"brevity": 1.0, "warmth": 3.0}},
        "prompts": text_messages(["One?", "Two?", "Three?"]),
        "grpo": trainer_pb2.GrpoConfig(steps=2),
    }
    return trainer_pb2.PolicySpec(**{**fields, **changes})  # type: ignore[arg-type]


def parsed(spec: trainer_pb2.PolicySpec, base: BaseModel = BASE, **limits: int) -> TrainingRequest:
    """The spec in canonical form."""
    return parse(spec, {base.name: base}, TRAITS, TrainerLimits(**limits))


def weights(**values: float) -> dict[str, dict[str, float]]:
    """The field `weights`."""
    return {"values": values}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"base_model": "huge"}, "spec.base_model"),
        ({"weights": None}, "spec.weights.values"),
        ({"weights": weights(brevity=-1.0)}, "spec.weights.values[brevity]"),
        ({"weights": weights(brevity=math.nan)}, "spec.weights.values[brevity]"),
        ({"weights": weights(brevity=math.inf)}, "spec.weights.values[brevity]"),
        ({"weights": weights(brevity=0.0, warmth=0.0)}, "spec.weights.values"),
        ({"weights": weights(brevity=1.0, wit=1.0)}, "spec.weights.values[wit]"),
        ({"weights": weights(broken=1.0)}, "spec.weights.values[broken]"),
        ({"prompts": []}, "spec.prompts"),
        ({"prompts": text_messages(["One?", "  "])}, "spec.prompts[1]"),
        ({"prompts": text_messages(["One?", "x" * 40])}, "spec.prompts[1]"),
        ({"prompts": text_messages(["One?"] * 9)}, "spec.prompts"),
        (
            {"prompts": [prompts_pb2.Prompt(text="One?", reference="x" * 40)]},
            "spec.prompts[0].reference",
        ),
        (
            {"prompts": [prompts_pb2.Prompt(messages=[prompts_pb2.ChatMessage(content="Hi")])]},
            "spec.prompts[0].messages[0].role",
        ),
        ({"weights": weights(correct=1.0)}, "spec.weights.values[correct]"),
        ({"seed": -1}, "spec.seed"),
        ({"initial_policy": "adapters/x"}, "spec.initial_policy"),
        ({"trait_versions": {"brevity": "b0"}}, "spec.trait_versions[brevity]"),
        ({"trait_versions": {"wit": "1"}}, "spec.trait_versions[wit]"),
        ({"grpo": None}, "spec.grpo"),
        ({"grpo": trainer_pb2.GrpoConfig(steps=0)}, "spec.grpo.steps"),
        ({"grpo": trainer_pb2.GrpoConfig(steps=100_001)}, "spec.grpo.steps"),
        ({"grpo": trainer_pb2.GrpoConfig(learning_rate=0)}, "spec.grpo.learning_rate"),
        ({"grpo": trainer_pb2.GrpoConfig(learning_rate=math.nan)}, "spec.grpo.learning_rate"),
        ({"grpo": trainer_pb2.GrpoConfig(lora_rank=257)}, "spec.grpo.lora_rank"),
        ({"grpo": trainer_pb2.GrpoConfig(lora_alpha=-1)}, "spec.grpo.lora_alpha"),
        ({"grpo": trainer_pb2.GrpoConfig(prompts_per_step=4)}, "spec.grpo.prompts_per_step"),
        (
            {"grpo": trainer_pb2.GrpoConfig(completions_per_prompt=1)},
            "spec.grpo.completions_per_prompt",
        ),
        (
            {"grpo": trainer_pb2.GrpoConfig(prompts_per_step=3, completions_per_prompt=500)},
            "spec.grpo.completions_per_prompt",
        ),
        (
            {"grpo": trainer_pb2.GrpoConfig(max_completion_tokens=0)},
            "spec.grpo.max_completion_tokens",
        ),
        ({"grpo": trainer_pb2.GrpoConfig(temperature=0)}, "spec.grpo.temperature"),
        ({"grpo": trainer_pb2.GrpoConfig(kl_coefficient=-0.1)}, "spec.grpo.kl_coefficient"),
    ],
)
def test_a_bad_field_is_named(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ServiceError) as caught:
        parsed(message(**changes), max_characters=32, max_prompts=8, max_samples=1024)
    assert caught.value.code.name == "INVALID_ARGUMENT"
    (bad_request,) = caught.value.details
    assert isinstance(bad_request, error_details_pb2.BadRequest)
    assert [violation.field for violation in bad_request.field_violations] == [field]


def test_every_bad_field_is_named_at_once() -> None:
    with pytest.raises(ServiceError) as caught:
        parsed(message(base_model="huge", prompts=text_messages([""]), seed=-1))
    for field in ("spec.base_model", "spec.prompts[0]", "spec.seed"):
        assert field in caught.value.message


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": weights(brevity=2.0, warmth=6.0)},
        {"weights": weights(brevity=1.0, warmth=3.0, broken=0.0)},
        {"trait_versions": {"brevity": "b1"}},
        {
            "prompts": [
                prompts_pb2.Prompt(text="One?", tags=["easy"]),
                prompts_pb2.Prompt(
                    messages=[prompts_pb2.ChatMessage(role=prompts_pb2.ROLE_USER, content="Two?")]
                ),
                prompts_pb2.Prompt(text="Three?"),
            ]
        },
        {"initial_policy": f"policies/{BASE.policy_id}"},
        {"grpo": trainer_pb2.GrpoConfig(steps=2, lora_rank=16, prompts_per_step=3)},
    ],
)
def test_specs_that_mean_the_same_are_one_policy(changes: dict[str, object]) -> None:
    assert parsed(message(**changes)).address == parsed(message()).address


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": weights(brevity=1.0, warmth=2.0)},
        {"weights": weights(brevity=1.0)},
        {"prompts": text_messages(["One?", "Two?", "Four?"])},
        {
            "prompts": [
                *text_messages(["One?", "Two?"]),
                prompts_pb2.Prompt(text="Three?", reference="3"),
            ]
        },
        {
            "prompts": [
                *text_messages(["One?", "Two?"]),
                Prompt(
                    (ChatMessage("system", "Be brief."), ChatMessage("user", "Three?"))
                ).to_message(),
            ]
        },
        {"seed": 1},
        {"initial_policy": "policies/other"},
        {"grpo": trainer_pb2.GrpoConfig(steps=3)},
        {"grpo": trainer_pb2.GrpoConfig(steps=2, kl_coefficient=0.1)},
    ],
)
def test_specs_that_differ_are_different_policies(changes: dict[str, object]) -> None:
    assert parsed(message(**changes)).address != parsed(message()).address


def test_another_revision_of_model_or_trait_is_another_policy() -> None:
    spec = parsed(message()).spec
    newer = BaseModel(name="tiny", revision="r2", path="models/tiny")
    versions = {"brevity": "b2", "warmth": "w1"}
    assert parsed(message(), newer).address != spec.address
    assert spec.model_copy(update={"trait_versions": versions}).address != spec.address
    assert newer.policy_id != BASE.policy_id


def test_a_trait_of_weight_zero_takes_no_part() -> None:
    spec = parsed(message(weights=weights(brevity=5.0, warmth=0.0))).spec
    assert spec.weights == {"brevity": 1.0}
    assert spec.trait_versions == {"brevity": "b1"}


def test_the_protocol_shows_defaults_and_keeps_the_identity() -> None:
    request = parsed(message())
    shown = request.spec.to_proto()
    settings = request.spec.settings
    assert isinstance(settings, GrpoSettings)
    assert shown.grpo.lora_rank == settings.lora_rank > 0
    assert not shown.prompts
    shown.prompts.extend(prompt.to_message() for prompt in request.prompts)
    assert parsed(shown).address == request.address


def test_a_trait_that_reads_references_is_not_trained_on_prompts_without_one() -> None:
    asked = [
        prompts_pb2.Prompt(text="2 + 2?", reference="#### 4"),
        *text_messages(["2 + 3?", "2 + 5?"]),
    ]
    with pytest.raises(ServiceError) as caught:
        parsed(message(prompts=asked, weights=weights(correct=1.0, brevity=1.0)))
    assert caught.value.code.name == "INVALID_ARGUMENT"
    assert (
        "spec.weights.values[correct]: reads each prompt's reference; "
        "without: spec.prompts[1], spec.prompts[2]"
    ) in caught.value.message
    # A trait of weight 0 takes no part.
    parsed(message(prompts=asked, weights=weights(correct=0.0, brevity=1.0)))
    request = parsed(message(prompts=asked[:1], weights=weights(correct=1.0)))
    assert request.prompts == (Prompt.of_text("2 + 2?", "#### 4"),)


def test_a_spec_survives_the_database() -> None:
    spec = parsed(message(initial_policy="policies/other")).spec
    again = TrainingSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert again.address == spec.address
