"""What a service accepts at most. Every limit is configurable and reported by `GetServerInfo`.

A service has the limits that concern it. A limit of another service in its file is an error: it
would have no effect.
"""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """The limits of every service."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    service: ClassVar[str] = "server"

    max_message_bytes: int = Field(default=16 * 2**20, gt=0)
    """Bytes of one gRPC message."""
    max_characters: int = Field(default=32_768, gt=0)
    """Characters of one text."""

    @classmethod
    def unknown(cls, name: str) -> str:
        """What is wrong with a limit that the service does not have, for people."""
        # Most wrong limits are right ones in another service's file.
        owners = [kind.service for kind in Limits.__subclasses__() if name in kind.model_fields]
        known = ", ".join(cls.model_fields)
        whose = f" but of the {' and the '.join(owners)}" if owners else ""
        return f"is not a limit of the {cls.service}{whose}; its limits are {known}"

    def as_map(self) -> dict[str, int]:
        """Limits by name, as `ServerInfo.limits` carries them."""
        return {name: int(value) for name, value in self.model_dump().items()}


class ScorerLimits(Limits):
    """The limits of the scorer."""

    service = "scorer"

    max_samples: int = Field(default=4096, gt=0)
    """Samples in one `Score`."""
    max_traits: int = Field(default=64, gt=0)
    """Traits of one scorer."""


class TrainerLimits(Limits):
    """The limits of the trainer."""

    service = "trainer"

    max_samples: int = Field(default=4096, gt=0)
    """Completions of one training step: the scorer must take them in one `Score`."""
    max_prompts: int = Field(default=100_000, gt=0)
    """Prompts of one training or `Generate`."""
    max_queued_jobs: int = Field(default=256, gt=0)
    """Trainings that wait or run."""


class SelectorLimits(Limits):
    """The limits of the selector."""

    service = "selector"

    max_policies_per_selection: int = Field(default=100_000, gt=0)
    """Candidates of one selection."""
    max_traits_per_selection: int = Field(default=20, gt=0)
    """Traits of one portfolio."""
    max_prompts: int = Field(default=100_000, gt=0)
    """Prompts of one prompt set."""
    max_trainings: int = Field(default=1024, gt=0)
    """Trainings of one build."""
