"""The values and the protocol say the same."""

import dataclasses
import enum
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from google.rpc import status_pb2

import palmfolio
from palmfolio import _codec, types
from palmfolio.cli.render.plain import to_plain
from palmfolio.types.strategies import STRATEGIES
from palmfolio.types.trainer import METHODS
from palmfolio.v1 import (
    evaluations_pb2,
    portfolios_pb2,
    prompts_pb2,
    scorer_pb2,
    selector_pb2,
    trainer_pb2,
    types_pb2,
)

MESSAGES: dict[type, Any] = {
    types.Readiness: types_pb2.Readiness,
    types.BaseModel: types_pb2.BaseModel,
    types.DeviceMemory: types_pb2.DeviceMemory,
    types.LoadedModel: types_pb2.LoadedModel,
    types.ServerInfo: types_pb2.ServerInfo,
    types.Trait: scorer_pb2.Trait,
    types.ChatMessage: prompts_pb2.ChatMessage,
    types.Prompt: prompts_pb2.Prompt,
    types.Calibration: scorer_pb2.CalibrateResponse,
    types.PromptSet: prompts_pb2.PromptSet,
    types.GrpoConfig: trainer_pb2.GrpoConfig,
    types.SamplingConfig: trainer_pb2.SamplingConfig,
    types.PolicySpec: trainer_pb2.PolicySpec,
    types.Policy: trainer_pb2.Policy,
    types.TrainingProgress: trainer_pb2.TrainingProgress,
    types.TrainingEvent: trainer_pb2.TrainingEvent,
    types.Completion: trainer_pb2.Completion,
    types.ExplicitTraining: portfolios_pb2.ExplicitTraining,
    types.ExplicitStrategy: portfolios_pb2.ExplicitStrategy,
    types.GridStrategy: portfolios_pb2.GridStrategy,
    types.AdaptiveStrategy: portfolios_pb2.AdaptiveStrategy,
    types.ConfidenceBound: portfolios_pb2.ConfidenceBound,
    types.Optimality: portfolios_pb2.Optimality,
    types.Refutation: portfolios_pb2.Refutation,
    types.TrainableBound: portfolios_pb2.TrainableBound,
    types.UniformStrategy: portfolios_pb2.UniformStrategy,
    types.PortfolioSpec: portfolios_pb2.PortfolioSpec,
    types.Candidate: portfolios_pb2.Candidate,
    types.Certificate: portfolios_pb2.Certificate,
    types.Baselines: portfolios_pb2.Baselines,
    types.SampleAnswer: portfolios_pb2.SampleAnswer,
    types.Coverage: portfolios_pb2.Coverage,
    types.ExcludedPolicy: portfolios_pb2.ExcludedPolicy,
    types.FailedTraining: portfolios_pb2.FailedTraining,
    types.Portfolio: portfolios_pb2.Portfolio,
    types.BuildEvent: portfolios_pb2.BuildEvent,
    types.Route: selector_pb2.RouteResponse,
    types.ImportedEvaluation: evaluations_pb2.ImportedEvaluation,
    types.EvaluationImport: selector_pb2.ImportEvaluationsResponse,
    types.Evaluation: evaluations_pb2.Evaluation,
    types.StoredEvaluations: evaluations_pb2.StoredEvaluations,
    types.Selection: selector_pb2.SelectPortfolioResponse,
}
ENUMS: dict[type[enum.StrEnum], Any] = {
    types.CalibrationMethod: scorer_pb2.CalibrationMethod,
    types.PolicyState: trainer_pb2.PolicyState,
    types.FinishReason: trainer_pb2.FinishReason,
    types.PortfolioState: portfolios_pb2.PortfolioState,
    types.BuildStage: portfolios_pb2.BuildStage,
    types.SelectionMethod: selector_pb2.SelectionMethod,
}


@pytest.mark.parametrize(("value", "message"), MESSAGES.items())
def test_values_have_the_fields_of_their_messages(value: type, message: Any) -> None:
    fields = {field.name for field in dataclasses.fields(value)}
    assert fields == _names(message.DESCRIPTOR)


def _names(descriptor: Any) -> set[str]:
    """The fields of a message, those of a oneof under the oneof's name."""
    oneofs = {
        field.name: field.containing_oneof.name
        for field in descriptor.fields
        if field.containing_oneof and not field.containing_oneof.name.startswith("_")
    }
    return {oneofs.get(field.name, field.name) for field in descriptor.fields}


@pytest.mark.parametrize(
    ("kinds", "message", "oneof"),
    [
        (STRATEGIES, portfolios_pb2.Strategy, "kind"),
        (METHODS, trainer_pb2.PolicySpec, "method"),
    ],
)
def test_every_member_of_a_oneof_has_a_class(
    kinds: Mapping[str, type], message: Any, oneof: str
) -> None:
    members = message.DESCRIPTOR.oneofs_by_name[oneof].fields
    assert set(kinds) == {field.name for field in members}
    assert {MESSAGES[cls].DESCRIPTOR for cls in kinds.values()} == {
        field.message_type for field in members
    }


@pytest.mark.parametrize(("value", "message"), MESSAGES.items())
def test_an_empty_message_is_a_value(value: type, message: Any) -> None:
    assert isinstance(_codec.decode(value, message()), value)


@pytest.mark.parametrize(("value", "enum_type"), ENUMS.items())
def test_enums_have_the_same_members(value: type[enum.StrEnum], enum_type: Any) -> None:
    names = [name for name in enum_type.keys()]  # noqa: C416, SIM118 - an enum wrapper, not a dict
    prefix = names[0].removesuffix("UNSPECIFIED")
    assert [member.name for member in value] == [name.removeprefix(prefix) for name in names]


def test_a_spec_survives_the_way_there_and_back() -> None:
    spec = palmfolio.PortfolioSpec(
        base_model="base",
        traits=("a", "b"),
        training_prompt_set="promptSets/1",
        evaluation_prompt_set="promptSets/2",
        strategy=palmfolio.ExplicitStrategy(
            trainings=(
                palmfolio.ExplicitTraining(weights={"a": 1.0, "b": 0.0}),
                palmfolio.ExplicitTraining(
                    weights={"b": 1.0},
                    initial_training=1,
                    grpo=palmfolio.GrpoConfig(steps=6, learning_rate=5e-4),
                ),
            )
        ),
        grpo=palmfolio.GrpoConfig(kl_coefficient=0.0),
        sampling=palmfolio.SamplingConfig(temperature=0.0, seed=0),
        delta=0.05,
        max_size=4,
        seed=7,
    )
    message = portfolios_pb2.PortfolioSpec()
    _codec.encode(spec, message)
    assert _codec.decode(palmfolio.PortfolioSpec, message) == spec


def test_zero_and_unset_are_different() -> None:
    message = trainer_pb2.SamplingConfig()
    _codec.encode(palmfolio.SamplingConfig(temperature=0.0), message)
    assert message.HasField("temperature")
    assert not message.HasField("seed")


def test_an_empty_strategy_is_sent() -> None:
    message = portfolios_pb2.PortfolioSpec()
    _codec.encode(_spec(palmfolio.GridStrategy()), message)
    assert message.strategy.WhichOneof("kind") == "grid"


STRATEGY_VALUES: list[palmfolio.Strategy | None] = [
    palmfolio.GridStrategy(),
    palmfolio.UniformStrategy(),
    palmfolio.UniformStrategy(resolution=4),
    palmfolio.AdaptiveStrategy(),
    palmfolio.AdaptiveStrategy(parallel=2),
    palmfolio.ExplicitStrategy((palmfolio.ExplicitTraining({"a": 1.0}),)),
    None,
]


def _spec(strategy: palmfolio.Strategy | None) -> palmfolio.PortfolioSpec:
    return palmfolio.PortfolioSpec("base", ("a", "b"), "", "", strategy=strategy)


@pytest.mark.parametrize("strategy", STRATEGY_VALUES)
def test_every_strategy_survives_the_way_there_and_back(
    strategy: palmfolio.Strategy | None,
) -> None:
    message = portfolios_pb2.PortfolioSpec()
    _codec.encode(_spec(strategy), message)
    assert _codec.decode(palmfolio.PortfolioSpec, message) == _spec(strategy)


def test_a_method_is_sent_as_a_member_of_the_oneof() -> None:
    message = trainer_pb2.PolicySpec()
    spec = palmfolio.PolicySpec("base", {"a": 1.0}, method=palmfolio.GrpoConfig(steps=3))
    _codec.encode(spec, message)
    assert (message.WhichOneof("method"), message.grpo.steps) == ("grpo", 3)
    assert _codec.decode(palmfolio.PolicySpec, message) == spec
    assert _codec.decode(palmfolio.PolicySpec, trainer_pb2.PolicySpec()).method is None


def test_a_value_of_another_class_names_the_classes_that_are_allowed() -> None:
    spec = _spec(palmfolio.GrpoConfig())  # type: ignore[arg-type]
    with pytest.raises(palmfolio.ConfigurationError, match="must be one of ExplicitStrategy, Grid"):
        _codec.encode(spec, portfolios_pb2.PortfolioSpec())


def test_a_number_that_the_protocol_takes_for_unset_is_none() -> None:
    value = _codec.decode(palmfolio.PortfolioSpec, portfolios_pb2.PortfolioSpec())
    assert (value.max_size, value.max_trainings, value.seed) == (None, None, 0)
    message = portfolios_pb2.PortfolioSpec(max_size=3)
    assert _codec.decode(palmfolio.PortfolioSpec, message).max_size == 3
    assert _codec.decode(palmfolio.Candidate, portfolios_pb2.Candidate()).adapter is None


def test_a_wrong_type_deep_within_names_its_own_field() -> None:
    spec = palmfolio.PolicySpec("base", {"a": 1.0}, method=palmfolio.GrpoConfig(steps="eight"))  # type: ignore[arg-type]
    with pytest.raises(palmfolio.ConfigurationError, match=r"^GrpoConfig\.steps cannot be 'eight'"):
        _codec.encode(spec, trainer_pb2.PolicySpec())


def test_a_wrong_type_names_the_field() -> None:
    config = palmfolio.GrpoConfig(steps="eight")  # type: ignore[arg-type]
    with pytest.raises(palmfolio.ConfigurationError, match=r"GrpoConfig\.steps.*'eight'"):
        _codec.encode(config, trainer_pb2.GrpoConfig())


def test_times_are_aware() -> None:
    message = prompts_pb2.PromptSet(name="promptSets/1")
    message.create_time.FromSeconds(60)
    value = _codec.decode(palmfolio.PromptSet, message)
    assert value.create_time == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    assert _codec.decode(palmfolio.PromptSet, prompts_pb2.PromptSet()).create_time is None


def test_an_enum_value_from_the_future_is_unspecified() -> None:
    message = trainer_pb2.Completion()
    message.finish_reason = 99  # type: ignore[assignment]
    assert (
        _codec.decode(palmfolio.Completion, message).finish_reason
        is palmfolio.FinishReason.UNSPECIFIED
    )


def test_rewards_are_rows_and_failures_stay_nan() -> None:
    nan = math.nan
    matrix = types_pb2.RewardMatrix(
        traits=["a", "b", "c"],
        trait_versions=["1", "1", "2"],
        raw=[1, 2, 3, 4, nan, 6],
        normalised=[0.25, 0.5, 0.75, 1.0, nan, 0.0],
        statuses=[
            types_pb2.SampleStatus(status=status_pb2.Status(), cut_tokens={"c": 40}),
            types_pb2.SampleStatus(
                status=status_pb2.Status(code=13, message="model failed"), failed_traits=["b"]
            ),
        ],
    )
    rewards = _codec.decode(palmfolio.Rewards, matrix)
    assert rewards.raw[0] == (1, 2, 3)
    assert rewards.normalised[0] == (0.25, 0.5, 0.75)
    assert rewards.normalised[1][0] == 1.0
    assert math.isnan(rewards.normalised[1][1])
    assert [status.ok for status in rewards.statuses] == [True, False]
    assert [status.cut_tokens for status in rewards.statuses] == [{"c": 40}, {}]
    assert rewards.statuses[1].failed_traits == ("b",)
    assert rewards.statuses[1].failure == palmfolio.Failure("INTERNAL", "model failed")


def test_traits_are_named_as_in_weights() -> None:
    trait = _codec.decode(palmfolio.Trait, scorer_pb2.Trait(name="traits/warmth"))
    assert trait.name == "warmth"


PROMPTS = [
    palmfolio.Prompt("why?"),
    palmfolio.Prompt("2 + 2?", reference="#### 4", tags=["easy", "sums"]),
    palmfolio.Prompt(messages=[palmfolio.ChatMessage("user", "hi")]),
    palmfolio.Prompt(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "2 + 2?"},
        ],
        reference="4",
    ),
]


@pytest.mark.parametrize("prompt", PROMPTS, ids=str)
def test_a_prompt_survives_the_way_there_and_back(prompt: palmfolio.Prompt) -> None:
    message = evaluations_pb2.ImportedEvaluation()
    _codec.encode(palmfolio.ImportedEvaluation("p", (0.5,), prompt), message)
    assert _codec.decode(palmfolio.Prompt, message.prompt) == prompt
    spec = palmfolio.PolicySpec("base", {"a": 1.0}, prompts=("why?", prompt))
    sent = trainer_pb2.PolicySpec()
    _codec.encode(spec, sent)
    assert sent.prompts[0] == prompts_pb2.Prompt(text="why?")
    received = _codec.decode(palmfolio.PolicySpec, sent)
    assert received.prompts == (palmfolio.Prompt("why?"), prompt)


def test_a_row_without_a_prompt_has_none() -> None:
    message = evaluations_pb2.ImportedEvaluation()
    _codec.encode(palmfolio.ImportedEvaluation("p", (0.5,)), message)
    assert not message.HasField("prompt")
    assert _codec.decode(palmfolio.Evaluation, evaluations_pb2.Evaluation()).prompt is None


@pytest.mark.parametrize(
    ("sample", "text", "reference"),
    [
        (palmfolio.Sample("q", "a"), "q", ""),
        (palmfolio.Sample("q", "a", reference="4"), "q", "4"),
        (palmfolio.Sample(palmfolio.Prompt("q", reference="4"), "a"), "q", "4"),
        (palmfolio.Sample(palmfolio.Prompt("q", reference="4"), "a", reference="5"), "q", "5"),
    ],
)
def test_the_reference_of_a_sample_travels_in_its_prompt(
    sample: palmfolio.Sample, text: str, reference: str
) -> None:
    message = scorer_pb2.Sample()
    _codec.encode(sample, message)
    assert message.prompt == prompts_pb2.Prompt(text=text, reference=reference)
    assert message.response == "a"


@pytest.mark.parametrize("prompt", [3, palmfolio.Prompt(messages=[{"role": "x", "content": "c"}])])
def test_a_prompt_that_is_none_names_its_position(prompt: Any) -> None:
    request = trainer_pb2.GenerateRequest()
    with pytest.raises(palmfolio.ConfigurationError, match=r"^prompts\[1\] cannot be"):
        _codec.encode_prompts(["fine", prompt], request.prompts)


def test_a_prompt_of_only_a_text_is_a_text_in_json() -> None:
    assert [to_plain(prompt) for prompt in PROMPTS[:3]] == [
        "why?",
        {"text": "2 + 2?", "reference": "#### 4", "tags": ["easy", "sums"]},
        {"messages": [{"role": "user", "content": "hi"}]},
    ]
