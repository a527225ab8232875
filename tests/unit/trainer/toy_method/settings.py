"""The toy's settings, and its message."""

from typing import Any, Literal

from pydantic import Field

from palmfolio_trainer.training.methods.contract import (
    MethodSettings,
    ParseContext,
    Violation,
    validate,
)


class ToySettings(MethodSettings):
    """Repeats a step."""

    method: Literal["toy"] = "toy"
    repeats: int = Field(2, ge=1, le=5)

    @property
    def total_steps(self) -> int:
        """One step per repeat."""
        return self.repeats


def parse(message: Any, context: ParseContext) -> ToySettings | list[Violation]:
    """Reads `PolicySpec.toy`; refuses more repeats than there are prompts."""
    sent = {field.name: value for field, value in message.ListFields()}
    settings = validate(ToySettings, sent, context.field)
    if isinstance(settings, ToySettings) and settings.repeats > context.prompts:
        return [(f"{context.field}.repeats", f"is more than the {context.prompts} prompts")]
    return settings


def show(settings: ToySettings, spec: Any) -> None:
    """Writes `PolicySpec.toy`."""
    spec.toy.repeats = settings.repeats
