"""The selector accepts exactly the settings that the trainer accepts; both checks are run."""

import math

import pytest

from palmfolio.v1 import portfolios_pb2, prompts_pb2, trainer_pb2
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.limits import SelectorLimits, TrainerLimits
from palmfolio_runtime.settings.sampling import SAMPLING_RANGES
from palmfolio_runtime.settings.training import GRPO_RANGES
from palmfolio_selector.domain.spec import canonical_spec
from palmfolio_trainer.sampling import request
from palmfolio_trainer.training.methods.contract import ParseContext
from palmfolio_trainer.training.methods.grpo import METHOD

# High enough that no limit of a server refuses what a range allows.
TRAINER_LIMITS = TrainerLimits(max_samples=2**31 - 1)
# Chosen without the table of ranges, so that a service that ignores the table is noticed.
VALUES = [
    *(-1, -0.5, 0, 1e-9, 0.5, 1, 1.5, 2, 10, 10.5, 11, 256, 257, 1024, 1025, 4096, 4097, 5000),
    *(32_768, 32_769, 40_000, 100_000, 100_001, 2**31 - 1, math.nan, math.inf, -math.inf),
]


def message_fields(
    message: type[trainer_pb2.GrpoConfig] | type[trainer_pb2.SamplingConfig],
) -> set[str]:
    return set(message.DESCRIPTOR.fields_by_name)


def values(message: trainer_pb2.GrpoConfig | trainer_pb2.SamplingConfig, field: str) -> list[float]:
    """The values that the field's type can hold."""
    is_real = isinstance(getattr(message, field), float)
    return [v for v in VALUES if is_real or (math.isfinite(v) and v == int(v))]


def spec() -> portfolios_pb2.PortfolioSpec:
    """A spec that the selector accepts."""
    prompt_set = "promptSets/" + "0" * 32
    return portfolios_pb2.PortfolioSpec(
        base_model="tiny",
        traits=["brevity", "warmth"],
        training_prompt_set=prompt_set,
        evaluation_prompt_set=prompt_set,
        delta=0.05,
    )


def is_accepted(portfolio: portfolios_pb2.PortfolioSpec) -> bool:
    """Whether the selector accepts the spec."""
    try:
        canonical_spec(portfolio, SelectorLimits())
    except ServiceError:
        return False
    return True


def trainer_generates(sampling: trainer_pb2.SamplingConfig) -> bool:
    """Whether the trainer samples with these settings."""
    asked = trainer_pb2.GenerateRequest(
        policies=["policies/p"], prompts=[prompts_pb2.Prompt(text="?")], sampling=sampling
    )
    try:
        request.parse(asked, TRAINER_LIMITS)
    except ServiceError:
        return False
    return True


@pytest.mark.parametrize("field", sorted(message_fields(trainer_pb2.GrpoConfig)))
def test_training_settings(field: str) -> None:
    context = ParseContext(prompts=2**31 - 1, limits=TRAINER_LIMITS, field="spec.grpo")
    answers = set()
    for value in values(trainer_pb2.GrpoConfig(), field):
        grpo = trainer_pb2.GrpoConfig(**{field: value})  # type: ignore[arg-type]
        portfolio, explicit = spec(), spec()
        portfolio.grpo.CopyFrom(grpo)
        training = explicit.strategy.explicit.trainings.add(grpo=grpo)
        training.weights.values["brevity"] = 1.0
        trains = not isinstance(METHOD.parse(grpo, context), list)
        assert is_accepted(portfolio) == is_accepted(explicit) == trains, (field, value)
        answers.add(trains)
    assert answers == {True, False}, "the values are on both sides of a limit"


@pytest.mark.parametrize("field", sorted(message_fields(trainer_pb2.SamplingConfig)))
def test_sampling_settings(field: str) -> None:
    answers = set()
    for value in values(trainer_pb2.SamplingConfig(), field):
        sampling = trainer_pb2.SamplingConfig(**{field: value})  # type: ignore[arg-type]
        portfolio = spec()
        portfolio.sampling.CopyFrom(sampling)
        generates = trainer_generates(sampling)
        assert is_accepted(portfolio) == generates, (field, value)
        answers.add(generates)
    assert answers == {True, False}, "the values are on both sides of a limit"


def test_the_tables_have_every_field() -> None:
    """A field without a range would be accepted with any value."""
    assert set(GRPO_RANGES) == message_fields(trainer_pb2.GrpoConfig)
    assert set(SAMPLING_RANGES) == message_fields(trainer_pb2.SamplingConfig)


@pytest.mark.parametrize("seed", [-1, 0, 2**62])
def test_the_seed_of_trainings(seed: int) -> None:
    portfolio = spec()
    portfolio.seed = seed
    assert is_accepted(portfolio) == (seed >= 0)
