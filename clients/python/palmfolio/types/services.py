"""What every service tells about itself, why calls fail, and the prompts that they share."""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    """Why it is not ready, for people; empty when it is."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model that policies are trained from."""

    name: str
    """The name that requests use."""
    policy: str
    """`policies/{id}` of the unchanged model, which can be sampled like any policy."""
    revision: str
    """Digest of the files that the trainer loads."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that a scorer holds in memory, and the traits that use it."""

    source: str
    """As the traits' declarations name it."""
    revision: str
    """Digest of the model's files, or the hub's commit."""
    device: str
    """For example `cpu` or `cuda:0`."""
    dtype: str
    """For example `float32` or `bfloat16`."""
    parameter_bytes: int = 0
    """Bytes of the weights."""
    traits: tuple[str, ...] = ()
    """Empty when a reload dropped the model and only running requests still use it."""


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """A device's memory as one process uses it, in bytes."""

    device: str
    allocated_bytes: int = 0
    """Bytes in use by tensors."""
    reserved_bytes: int = 0
    """Bytes that the process keeps, in use or not."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A service's version, limits and models, and whether it is ready."""

    service: str
    """`scorer`, `trainer` or `selector`."""
    version: str = ""
    readiness: Readiness = field(default_factory=Readiness)
    limits: Mapping[str, int] = field(default_factory=dict)
    """Limits by name, for example `max_samples`."""
    devices: tuple[str, ...] = ()
    """The devices that models run on, for example `cpu` or `cuda:0`."""
    base_models: tuple[BaseModel, ...] = ()
    """The models that can be trained; trainer only."""
    loaded_models: tuple[LoadedModel, ...] = ()
    """The models in memory; scorer only."""
    device_memory: tuple[DeviceMemory, ...] = ()
    """Scorer only, for devices with memory of their own."""
    resident_bytes: int | None = None
    """Bytes of main memory that the process takes; None where the system does not tell."""
    reload_failure: str = ""
    """Why the last reload of the configuration was refused; empty when it was not."""
