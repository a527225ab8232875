"""The values and the protocol say the same."""

import dataclasses
import math
from datetime import UTC, datetime

import pytest
from google.rpc import status_pb2

import palmfolio
from palmfolio import _codec, types
from palmfolio.v1 import scorer_pb2, selector_pb2, trainer_pb2, types_pb2

MESSAGES = {
    types.Readiness: types_pb2.Readiness,
    types.BaseModel: types_pb2.BaseModel,
    types.DeviceMemory: types_pb2.DeviceMemory,
    types.LoadedModel: types_pb2.LoadedModel,
    types.ServerInfo: types_pb2.ServerInfo,
    types.Trait: scorer_pb2.Trait,
    types.Sample: scorer_pb2.Sample,
    types.Calibration: scorer_pb2.CalibrateResponse,
    types.PromptSet: types_pb2.PromptSet,
    types.GrpoConfig: trainer_pb2.GrpoConfig,
    types.SamplingConfig: trainer_pb2.SamplingConfig,
    types.PolicySpec: trainer_pb2.PolicySpec,
    types.Policy: trainer_pb2.Policy,
    types.TrainingProgress: trainer_pb2.TrainingProgress,
    types.TrainingEvent: trainer_pb2.TrainingEvent,
    types.Completion: trainer_pb2.Completion,
    types.ExplicitTraining: selector_pb2.ExplicitTraining,
    types.ExplicitStrategy: selector_pb2.ExplicitStrategy,
    types.GridStrategy: selector_pb2.GridStrategy,
    types.Strategy: selector_pb2.Strategy,
    types.AdaptiveStrategy: selector_pb2.AdaptiveStrategy,
    types.ConfidenceBound: selector_pb2.ConfidenceBound,
    types.Optimality: selector_pb2.Optimality,
    types.Refutation: selector_pb2.Refutation,
    types.TrainableBound: selector_pb2.TrainableBound,
    types.UniformStrategy: selector_pb2.UniformStrategy,
    types.PortfolioSpec: selector_pb2.PortfolioSpec,
    types.Candidate: selector_pb2.Candidate,
    types.Certificate: selector_pb2.Certificate,
    types.Baselines: selector_pb2.Baselines,
    types.SampleAnswer: selector_pb2.SampleAnswer,
    types.FailedTraining: selector_pb2.FailedTraining,
    types.Portfolio: selector_pb2.Portfolio,
    types.BuildEvent: selector_pb2.BuildEvent,
    types.Route: selector_pb2.RouteResponse,
    types.ImportedEvaluation: selector_pb2.ImportedEvaluation,
    types.EvaluationImport: selector_pb2.ImportEvaluationsResponse,
    types.Evaluation: selector_pb2.Evaluation,
    types.StoredEvaluations: selector_pb2.StoredEvaluations,
    types.Selection: selector_pb2.SelectPortfolioResponse,
}
ENUMS = {
    types.CalibrationMethod: scorer_pb2.CalibrationMethod,
    types.PolicyState: trainer_pb2.PolicyState,
    types.FinishReason: trainer_pb2.FinishReason,
    types.PortfolioState: selector_pb2.PortfolioState,
    types.BuildStage: selector_pb2.BuildStage,
    types.SelectionMethod: selector_pb2.SelectionMethod,
}


@pytest.mark.parametrize(("value", "message"), MESSAGES.items())
def test_values_have_the_fields_of_their_messages(value: type, message: type) -> None:
    fields = {field.name for field in dataclasses.fields(value)}
    assert fields == set(message.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize(("value", "message"), MESSAGES.items())
def test_an_empty_message_is_a_value(value: type, message: type) -> None:
    assert isinstance(_codec.decode(value, message()), value)


@pytest.mark.parametrize(("value", "enum"), ENUMS.items())
def test_enums_have_the_same_members(value: type, enum: object) -> None:
    names = [name for name in enum.keys()]  # noqa: C416, SIM118 - an enum wrapper, not a dict
    prefix = names[0].removesuffix("UNSPECIFIED")
    assert [member.name for member in value] == [name.removeprefix(prefix) for name in names]


def test_a_spec_survives_the_way_there_and_back() -> None:
    spec = palmfolio.PortfolioSpec(
        base_model="base",
        traits=("a", "b"),
        training_prompt_set="promptSets/1",
        evaluation_prompt_set="promptSets/2",
        strategy=palmfolio.Strategy(
            explicit=palmfolio.ExplicitStrategy(
                trainings=(
                    palmfolio.ExplicitTraining(weights={"a": 1.0, "b": 0.0}),
                    palmfolio.ExplicitTraining(
                        weights={"b": 1.0},
                        initial_training=1,
                        grpo=palmfolio.GrpoConfig(steps=6, learning_rate=5e-4),
                    ),
                )
            )
        ),
        grpo=palmfolio.GrpoConfig(kl_coefficient=0.0),
        sampling=palmfolio.SamplingConfig(temperature=0.0, seed=0),
        delta=0.05,
        max_size=4,
        seed=7,
    )
    message = selector_pb2.PortfolioSpec()
    _codec.encode(spec, message)
    assert _codec.decode(palmfolio.PortfolioSpec, message) == spec


def test_zero_and_unset_are_different() -> None:
    message = trainer_pb2.SamplingConfig()
    _codec.encode(palmfolio.SamplingConfig(temperature=0.0), message)
    assert message.HasField("temperature")
    assert not message.HasField("seed")


def test_an_empty_strategy_is_sent() -> None:
    message = selector_pb2.Strategy()
    _codec.encode(palmfolio.Strategy(grid=palmfolio.GridStrategy()), message)
    assert message.WhichOneof("kind") == "grid"


def test_a_wrong_type_names_the_field() -> None:
    config = palmfolio.GrpoConfig(steps="eight")  # type: ignore[arg-type]
    with pytest.raises(palmfolio.ConfigurationError, match=r"GrpoConfig\.steps.*'eight'"):
        _codec.encode(config, trainer_pb2.GrpoConfig())


def test_times_are_aware() -> None:
    message = types_pb2.PromptSet(name="promptSets/1")
    message.create_time.FromSeconds(60)
    value = _codec.decode(palmfolio.PromptSet, message)
    assert value.create_time == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    assert _codec.decode(palmfolio.PromptSet, types_pb2.PromptSet()).create_time is None


def test_an_enum_value_from_the_future_is_unspecified() -> None:
    message = trainer_pb2.Completion(finish_reason=99)
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
            types_pb2.SampleStatus(status=status_pb2.Status()),
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
    assert rewards.statuses[1].failed_traits == ("b",)
    assert rewards.statuses[1].failure == palmfolio.Failure("INTERNAL", "model failed")


def test_traits_are_named_as_in_weights() -> None:
    trait = _codec.decode(palmfolio.Trait, scorer_pb2.Trait(name="traits/warmth"))
    assert trait.name == "warmth"
