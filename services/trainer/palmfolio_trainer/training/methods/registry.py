"""The training methods that this trainer knows. A new method adds its folder and one line here."""

from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from palmfolio_trainer.training.methods.contract import Method, MethodSettings
from palmfolio_trainer.training.methods.grpo import METHOD as GRPO

METHODS: dict[str, Method[Any]] = {method.name: method for method in (GRPO,)}
"""Methods by name, which is also the name of their field in the oneof `PolicySpec.method`."""


def preload() -> None:
    """Imports what trainings need, so that a process started ahead of its job is ready."""
    for method in METHODS.values():
        method.load()


def _by_method(value: object) -> object:
    """Settings of the class that `method` names; anything else is left for pydantic to refuse."""
    if not isinstance(value, dict):
        return value
    method = METHODS.get(value.get("method", ""))
    if method is None:
        raise ValueError(f"unknown method {value.get('method')!r}; known: {', '.join(METHODS)}")
    return method.settings.model_validate(value)


# pydantic's own discriminated unions are closed when their class is made; this one follows the
# registry, so that a plugin or a test can add a method.
AnySettings = Annotated[SerializeAsAny[MethodSettings], BeforeValidator(_by_method)]
"""Settings of any registered method, told apart by their field `method`."""
