"""Addresses that must never change: stored policies are found by them.

When one of these tests fails, an identity has changed. A new setting needs a `Neutral` value; see
the rules in `palmfolio_runtime.identity`. Do not replace the ids here: policies that are trained
would be trained again.
"""

from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml

from palmfolio.v1 import scorer_pb2, trainer_pb2
from palmfolio_runtime.identity import OUTSIDE, Neutral
from palmfolio_runtime.limits import TrainerLimits
from palmfolio_trainer.models.base_models import BaseModel
from palmfolio_trainer.policies.spec import TrainingSpec, parse
from palmfolio_trainer.training.methods.grpo.settings import GrpoSettings
from tests.support.prompts import text_messages

EXAMPLE = Path(__file__).parents[3] / "examples" / "quickstart"
BASE = BaseModel("smollm2-135m-instruct", "0" * 64, "models/smollm2")
TRAITS = {
    name: scorer_pb2.Trait(name=f"traits/{name}", version=f"{name}-1")
    for name in ("relevance", "brevity", "warmth")
}
BASE_ID = "base-9983b746a33a"
POLICY_IDS = [
    "79ae5af78191732a03d687ec",
    "531850bad6c0773c797afcf6",
    "3a06705d5c6f8c12f29270f8",
    "9cd52aeb83df1bc747e8c91a",
    "862585c0bf4f8675226156c6",
]


def specs() -> list[TrainingSpec]:
    """The specs of the quickstart's five policies, at fixed revisions of model and traits."""
    example: dict[str, Any] = yaml.safe_load((EXAMPLE / "portfolio.yaml").read_text())
    prompts = (EXAMPLE / example["training_prompts"]).read_text().splitlines()
    made = []
    for entry in example["strategy"]["explicit"]:
        settings = {**example["grpo"], **entry.get("grpo", {})}
        message = trainer_pb2.PolicySpec(
            base_model=example["base_model"],
            weights={"values": entry["weights"]},  # type: ignore[arg-type]
            prompts=text_messages(prompt for prompt in prompts if prompt.strip()),
            grpo=trainer_pb2.GrpoConfig(**settings),
        )
        made.append(parse(message, {BASE.name: BASE}, TRAITS, TrainerLimits()).spec)
    return made


def test_the_examples_policies_keep_their_ids() -> None:
    assert [spec.address for spec in specs()] == POLICY_IDS


def test_an_unchanged_base_model_keeps_its_id() -> None:
    assert BASE.address == BASE_ID


class NewerSettings(GrpoSettings):
    """Settings of a later version."""

    warmup_steps: Annotated[int, Neutral(0)] = 0
    chunk: Annotated[int, OUTSIDE] = 4
    """Bounds memory only."""


def newer(**changes: Any) -> TrainingSpec:
    """The example's first spec, read by a later version with more settings."""
    spec = specs()[0]
    settings = NewerSettings(**spec.settings.model_dump(), **changes)
    return spec.model_copy(update={"settings": settings})


@pytest.mark.parametrize("changes", [{}, {"warmup_steps": 0}, {"chunk": 16}])
def test_a_new_setting_at_its_neutral_value_changes_no_id(changes: dict[str, int]) -> None:
    assert newer(**changes).address == POLICY_IDS[0]


def test_a_new_setting_at_another_value_is_another_policy() -> None:
    assert newer(warmup_steps=2).address not in POLICY_IDS


def test_a_changed_default_changes_no_stored_id() -> None:
    """A setting without a neutral value is always in the address, also at its default."""

    class OtherDefault(GrpoSettings):
        temperature: float = 0.7

    spec = specs()[0]
    settings = OtherDefault(**spec.settings.model_dump())
    assert spec.model_copy(update={"settings": settings}).address == POLICY_IDS[0]
