"""Values that calls of more than one service carry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

Weights = Mapping[str, float]
"""Weight >= 0 by trait name, in any scale: servers normalise them to sum to 1."""

KINDS = "kinds"
"""Key in a field's metadata: the field holds a value of one of several classes, which the metadata
maps from the names that the protocol uses for them."""


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
    """Whether a service takes work, and if not, why."""

    ready: bool = False
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model that policies are trained from. Unchanged, it is the policy `policy`."""

    name: str
    policy: str
    revision: str


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that a scorer holds in memory, and the traits that use it."""

    source: str
    revision: str
    device: str
    dtype: str
    parameter_bytes: int = 0
    traits: tuple[str, ...] = ()
    """Empty once a reload has left it to requests that were under way."""


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """A device's memory as one process uses it, in bytes."""

    device: str
    allocated_bytes: int = 0
    reserved_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A service's version, limits and models, and whether it is ready."""

    service: str
    version: str = ""
    readiness: Readiness = field(default_factory=Readiness)
    limits: Mapping[str, int] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    base_models: tuple[BaseModel, ...] = ()
    loaded_models: tuple[LoadedModel, ...] = ()
    device_memory: tuple[DeviceMemory, ...] = ()
    resident_bytes: int | None = None
    """Main memory that the process takes; None where the system does not tell."""
    reload_failure: str = ""
    """Why the last reload of the configuration was refused; empty when it was not."""


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Prompts addressed by their content. Listings and answers may leave the prompts out."""

    name: str
    prompts: tuple[str, ...] = ()
    display_name: str = ""
    create_time: datetime | None = None
