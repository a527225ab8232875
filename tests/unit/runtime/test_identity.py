"""Identities survive upgrades: new neutral settings change none, everything that matters is in."""

from typing import Annotated, Any, Literal

import pytest
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from palmfolio.v1 import trainer_pb2, types_pb2
from palmfolio_runtime.identity import OUTSIDE, Neutral, canonical, identity


class Old(BaseModel):
    """Settings as a first version had them."""

    method: Literal["grpo"] = "grpo"
    steps: int = 10
    rate: float = 0.5


class New(BaseModel):
    """The same settings after an upgrade: new ones, and another default of an old one."""

    method: Literal["grpo"] = "grpo"
    steps: int = 20
    rate: float = 0.5
    warmup: Annotated[int, Neutral(0)] = 3
    masks: Annotated[list[str], Neutral([])] = []
    inner: Annotated[Old | None, Neutral(None)] = None
    per_pass: Annotated[int, OUTSIDE] = 8


def test_a_golden_identity() -> None:
    assert identity("settings", 1, Old(), 16) == "571c0b4dd1b28edb"


def test_a_setting_at_its_neutral_value_changes_nothing() -> None:
    new = New(steps=10, warmup=0, per_pass=2)
    assert identity("settings", 1, new) == identity("settings", 1, Old())
    assert canonical(new) == {"method": "grpo", "steps": 10, "rate": 0.5}


@pytest.mark.parametrize(
    "change",
    [{"warmup": 1}, {"masks": ["cut"]}, {"inner": Old()}, {"steps": 11}, {"rate": 0.25}],
)
def test_what_changes_a_result_changes_the_identity(change: dict[str, Any]) -> None:
    new = New(**{"steps": 10, "warmup": 0, **change})
    assert identity("settings", 1, new) != identity("settings", 1, Old())


def test_a_default_that_changes_is_another_identity() -> None:
    assert identity("settings", 1, New(warmup=0)) != identity("settings", 1, Old())


def test_kind_and_version_are_in() -> None:
    forms = [identity(kind, version, {"a": 1}) for kind in "pq" for version in (1, 2)]
    assert len(set(forms)) == 4


def test_messages_leave_out_what_is_not_set() -> None:
    message = trainer_pb2.PolicySpec(
        base_model="m",
        weights=types_pb2.Weights(values={"b": 0.25, "a": 0.75}),
        seed=0,
        grpo=trainer_pb2.GrpoConfig(),
    )
    form = canonical(message)
    assert form == {"base_model": "m", "weights": {"values": {"a": 0.75, "b": 0.25}}, "grpo": {}}
    assert canonical(trainer_pb2.PolicySpec(base_model="m")) == {"base_model": "m"}


def test_a_messages_neutral_values_are_named_by_path() -> None:
    spec = trainer_pb2.PolicySpec(base_model="m", grpo=trainer_pb2.GrpoConfig(lora_rank=16))
    neutral = {"grpo.lora_rank": 16}
    assert canonical(spec, neutral) == {"base_model": "m", "grpo": {}}
    spec.grpo.lora_rank = 8
    assert canonical(spec, neutral) == {"base_model": "m", "grpo": {"lora_rank": 8}}


def test_bytes_and_lists_of_messages_have_a_form() -> None:
    status = status_pb2.Status(code=3)
    status.details.add(type_url="t", value=b"\xff")
    assert canonical(status) == {"code": 3, "details": [{"type_url": "t", "value": "ff"}]}


@pytest.mark.parametrize("value", [{1, 2}, object(), {"a": b"x"}, [complex(1)]])
def test_what_has_no_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        identity("x", 1, value)


def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        identity("x", 1, {"a": float("nan")})


@given(st.dictionaries(st.text("abc é"), st.floats(allow_nan=False, allow_infinity=False)))
def test_the_order_of_a_mapping_does_not_matter(values: dict[str, float]) -> None:
    backwards = dict(reversed(values.items()))
    assert identity("x", 1, values) == identity("x", 1, backwards)
    messages = [types_pb2.Weights(values=order) for order in (values, backwards)]
    assert identity("x", 1, messages[0]) == identity("x", 1, messages[1])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_zero_has_one_form(value: float) -> None:
    assert canonical(-value) == -canonical(value)
    assert str(canonical(-0.0)) == "0.0"
