"""Specs of portfolios: their canonical form, and the fields that refusals name."""

from typing import Any, get_args

import pytest
from google.rpc import error_details_pb2

from palmfolio.v1 import portfolios_pb2, types_pb2
from palmfolio_palm import grid_size
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.limits import SelectorLimits
from palmfolio_selector.domain.spec import canonical_spec
from palmfolio_selector.domain.strategies import check_budget, first_trainings
from palmfolio_selector.domain.strategy_kind import StrategyKind, strategy_kind

LIMITS = SelectorLimits()
SET = "promptSets/" + "0" * 32


def make_spec(*weights: dict[str, float], **fields: Any) -> portfolios_pb2.PortfolioSpec:
    spec = portfolios_pb2.PortfolioSpec(
        base_model="tiny",
        traits=["brevity", "warmth"],
        training_prompt_set=SET,
        evaluation_prompt_set=SET,
        epsilon=0.05,
        delta=0.05,
        **fields,
    )
    for row in weights or [{"brevity": 1.0}]:
        spec.strategy.explicit.trainings.add(weights=types_pb2.Weights(values=row))
    return spec


def violated(spec: portfolios_pb2.PortfolioSpec) -> set[str]:
    """The fields that a spec is refused for."""
    with pytest.raises(ServiceError) as error:
        canonical_spec(spec, LIMITS)
    (details,) = [d for d in error.value.details if isinstance(d, error_details_pb2.BadRequest)]
    return {violation.field for violation in details.field_violations}


def test_equal_preferences_give_equal_specs() -> None:
    canonical = canonical_spec(make_spec({"brevity": 2.0, "warmth": 6.0}), LIMITS)
    other = canonical_spec(make_spec({"brevity": 0.25, "warmth": 0.75}), LIMITS)
    assert canonical == other
    assert dict(canonical.strategy.explicit.trainings[0].weights.values) == {
        "brevity": 0.25,
        "warmth": 0.75,
    }


def test_a_canonical_spec_is_its_own_canonical_form() -> None:
    spec = canonical_spec(make_spec({"brevity": 1.0}, {"warmth": 3.0, "brevity": 1.0}), LIMITS)
    assert canonical_spec(spec, LIMITS) == spec


def test_trait_names_lose_their_prefix() -> None:
    spec = make_spec()
    spec.traits[0] = "traits/brevity"
    assert list(canonical_spec(spec, LIMITS).traits) == ["brevity", "warmth"]


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_bad_weights_name_their_field(weight: float) -> None:
    spec = make_spec({"brevity": 1.0}, {"warmth": weight})
    field = "spec.strategy.explicit.trainings[1].weights.values[warmth]"
    assert violated(spec) == {field}


@pytest.mark.parametrize("weights", [{}, {"warmth": 0.0}])
def test_weights_without_a_positive_one_are_refused(weights: dict[str, float]) -> None:
    spec = make_spec(weights)
    assert violated(spec) == {"spec.strategy.explicit.trainings[0].weights.values"}


def test_unknown_traits_in_weights_are_refused() -> None:
    field = "spec.strategy.explicit.trainings[0].weights.values[truth]"
    assert violated(make_spec({"truth": 1.0})) == {field}


def test_every_wrong_field_is_named_at_once() -> None:
    spec = make_spec(max_size=-1)
    spec.base_model = ""
    spec.training_prompt_set = "sets/1"
    spec.epsilon = 1.0
    spec.delta = float("nan")
    spec.grpo.steps = 0
    spec.sampling.top_p = 1.5
    spec.strategy.explicit.trainings[0].grpo.learning_rate = -1
    spec.strategy.explicit.trainings[0].initial_training = 1
    assert violated(spec) == {
        "spec.base_model",
        "spec.training_prompt_set",
        "spec.epsilon",
        "spec.delta",
        "spec.max_size",
        "spec.grpo.steps",
        "spec.sampling.top_p",
        "spec.strategy.explicit.trainings[0].grpo.learning_rate",
        "spec.strategy.explicit.trainings[0].initial_training",
    }


@pytest.mark.parametrize("traits", [[], ["a"], ["a", "a"], ["a", ""], [str(i) for i in range(21)]])
def test_traits_are_two_to_twenty_different_ones(traits: list[str]) -> None:
    spec = make_spec()
    del spec.traits[:]
    spec.traits.extend(traits)
    assert violated(spec) == {"spec.traits"}


def test_the_strategy_is_adaptive_when_none_is_given() -> None:
    spec = make_spec()
    spec.ClearField("strategy")
    explicit = make_spec()
    explicit.strategy.adaptive.SetInParent()
    assert canonical_spec(spec, LIMITS) == canonical_spec(explicit, LIMITS)


def make_grid(epsilon: float, delta: float, **fields: Any) -> portfolios_pb2.PortfolioSpec:
    spec = make_spec(**fields)
    spec.strategy.grid.SetInParent()
    spec.epsilon, spec.delta = epsilon, delta
    return spec


def test_the_grid_is_palms() -> None:
    spec = canonical_spec(make_grid(0.2, 0.2), LIMITS)
    wanted = first_trainings(spec, 1000)
    assert len(wanted) == grid_size(2, 0.2, 0.2)
    assert all(sum(t.weights.values.values()) == pytest.approx(1) for t in wanted)


def test_a_grid_over_the_budget_is_refused_with_its_size() -> None:
    with pytest.raises(ServiceError) as error:
        check_budget(canonical_spec(make_grid(0.05, 0.05, max_trainings=10), LIMITS), LIMITS)
    assert error.value.metadata == {"wanted": str(grid_size(2, 0.05, 0.05)), "allowed": "10"}


def test_a_grid_needs_room_for_a_gap() -> None:
    assert violated(make_grid(0.0, 0.0)) == {"spec.epsilon", "spec.delta"}


def test_violations_name_the_field_of_the_spec_in_its_request() -> None:
    with pytest.raises(ServiceError, match=r"build\.spec\.epsilon: must be > 0"):
        canonical_spec(make_grid(0.0, 0.1), LIMITS, "build.spec")


def test_settings_of_a_training_take_precedence_over_those_of_the_spec() -> None:
    spec = make_spec({"brevity": 1.0}, {"warmth": 1.0})
    spec.grpo.steps, spec.grpo.lora_rank = 8, 16
    spec.strategy.explicit.trainings[1].grpo.steps = 2
    first, second = first_trainings(canonical_spec(spec, LIMITS), 1000)
    assert (first.grpo.steps, first.grpo.lora_rank) == (8, 16)
    assert (second.grpo.steps, second.grpo.lora_rank) == (2, 16)


def test_every_kind_of_strategy_of_the_protocol_is_known() -> None:
    kinds = portfolios_pb2.Strategy.DESCRIPTOR.oneofs_by_name["kind"].fields
    assert set(get_args(StrategyKind)) == {kind.name for kind in kinds}


def test_a_spec_without_a_strategy_has_no_kind() -> None:
    with pytest.raises(ValueError, match="no strategy"):
        strategy_kind(portfolios_pb2.PortfolioSpec())
