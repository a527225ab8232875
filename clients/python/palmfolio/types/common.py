"""What calls of more than one service carry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

Weights = Mapping[str, float]
"""Weight >= 0 by trait name; servers normalise them to sum to 1."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed: a `google.rpc.Status` as plain data."""

    code: str
    """The gRPC code's name, for example `UNAVAILABLE`."""
    message: str
    reason: str = ""
    """A value of `errors.proto` without its prefix, for example `TRAINING_FAILED`; may be empty."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a service takes work; if not, why."""

    ready: bool = False
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model that policies are trained from. Unchanged, it is the policy `policy`."""

    name: str
    policy: str
    revision: str


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a service is and what it accepts."""

    service: str
    version: str = ""
    readiness: Readiness = field(default_factory=Readiness)
    limits: Mapping[str, int] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    base_models: tuple[BaseModel, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Prompts addressed by their content. Listings and answers may leave the prompts out."""

    name: str
    prompts: tuple[str, ...] = ()
    display_name: str = ""
    create_time: datetime | None = None
