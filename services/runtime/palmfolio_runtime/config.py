"""Configuration: one YAML file per service, every key also an environment variable."""

from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from palmfolio_runtime.limits import Limits

_LOOPBACK = ("127.", "localhost:", "[::1]:", "unix:")


class ConfigError(Exception):
    """A configuration that cannot be used; the message names each key and what is allowed."""


def parse_yaml(text: str) -> Any:
    """The plain data of a YAML text.

    Raises:
        ConfigError: it is not YAML, or nothing that can be read: nested too deeply, say.
    """
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise ConfigError("it is nested too deeply") from None
    # The library lets errors of Python through: from a date of month 13, a tag without a value, a
    # number of thousands of digits.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise ConfigError(" ".join(str(error).split())) from error


class TlsConfig(BaseModel):
    """TLS of a server, mutual when `client_ca` is set. All files are PEM."""

    model_config = ConfigDict(extra="forbid")

    certificate: Path
    key: Path
    client_ca: Path | None = None


class Token(BaseModel):
    """A bearer token, of which only the hash is stored."""

    model_config = ConfigDict(extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Hexadecimal SHA-256 of the token's UTF-8 bytes."""
    role: Literal["reader", "operator"] = "reader"
    """`reader` may make the calls that change nothing, `operator` all of them."""


class MetricsConfig(BaseModel):
    """Where Prometheus finds the metrics, under `/metrics`."""

    model_config = ConfigDict(extra="forbid")

    address: str = Field(pattern="^.+:[0-9]+$")
    """`host:port`; port 0 picks a free one. HTTPS where the service has `tls`."""
    insecure: bool = False
    """Allows an address other than loopback without TLS."""


class Endpoint(BaseModel):
    """Where another service listens, and how this service identifies itself to it."""

    model_config = ConfigDict(extra="forbid")

    address: str = Field(pattern="^.+:.+$")
    """`host:port`."""
    ca: Path | None = None
    """PEM of the authority that signed the service's certificate; None means no TLS."""
    certificate: Path | None = None
    """PEM of this service's certificate, for mutual TLS."""
    key: Path | None = None
    """PEM of that certificate's key."""
    token: str | None = None
    """Bearer token; only sent over TLS or to loopback."""


class ServerConfig(BaseSettings):
    """The keys of every service's configuration."""

    model_config = SettingsConfigDict(extra="forbid", env_nested_delimiter="__")
    service: ClassVar[str] = "server"

    address: str = "127.0.0.1:0"
    """Where to listen, `host:port`; port 0 picks a free one."""
    address_file: Path | None = None
    """A file that receives the address once the server listens."""
    insecure: bool = False
    """Allows an address other than loopback without TLS and tokens."""
    tls: TlsConfig | None = None
    tokens: list[Token] = []
    """Who may call; empty means everybody."""
    metrics: MetricsConfig | None = None
    """None serves no metrics."""
    limits: Limits = Limits()
    drain_seconds: float = Field(default=10.0, ge=0)
    """Seconds from the first signal to stop to the end of the process, at least 10. Running calls
    may go on for all of it but 2 s (half, where it is shorter), in which the service closes."""
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _exposed_only_with_protection(self) -> "ServerConfig":
        # By default nobody else can reach a service: exposing one takes a decision in its file.
        exposed = not self.address.startswith(_LOOPBACK)
        if exposed and not self.insecure and (self.tls is None or not self.tokens):
            raise ValueError(
                f"address {self.address} is not loopback: configure `tls` and `tokens`, "
                "or set `insecure: true`"
            )
        metrics = self.metrics
        if (
            metrics
            and not (self.tls or metrics.insecure)
            and not metrics.address.startswith(_LOOPBACK)
        ):
            raise ValueError(
                f"metrics.address {metrics.address} is not loopback: configure `tls`, "
                "or set `metrics.insecure: true`"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment takes precedence over the file, whose keys are the initial values."""
        return env_settings, init_settings


Config = TypeVar("Config", bound=ServerConfig)


def load_config(cls: type[Config], path: Path | None) -> Config:
    """Reads a service's configuration.

    Keys come from the YAML file at `path`; an environment variable such as
    `PALMFOLIO_SCORER__LIMITS__MAX_SAMPLES` takes precedence over the file's key.

    Args:
        cls: the service's configuration class.
        path: the file; None reads the environment only.

    Raises:
        ConfigError: the file cannot be read, is not a YAML mapping, or a key is wrong.
    """
    values = _read_yaml(path) if path else {}
    prefix = f"PALMFOLIO_{cls.service.upper()}__"
    try:
        # The prefix is given per call: each service has another one for the same inherited keys.
        return cls(**{"_env_prefix": prefix, **values})
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, issue['loc'])) or 'configuration'}: {_problem(cls, issue)}"
            for issue in error.errors()
        ]
        where = str(path) if path else f"environment ({prefix}…)"
        # `from None`: pydantic's own report would repeat the problems in a form for programmers.
        raise ConfigError("\n".join([f"{where} is not a valid configuration:", *lines])) from None


def _problem(cls: type[ServerConfig], issue: ErrorDetails) -> str:
    if issue["type"] != "extra_forbidden":
        return issue["msg"]
    match issue["loc"]:
        case ("limits", str(name)):
            limits: Limits = cls.model_fields["limits"].default
            return limits.unknown(name)
        case _:
            return "is not a key of this configuration"


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        loaded = parse_yaml(path.read_text(encoding="utf-8-sig")) or {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (ConfigError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path} must be a mapping of keys to values")
    return loaded


__all__ = [
    "Config",
    "ConfigError",
    "Endpoint",
    "MetricsConfig",
    "ServerConfig",
    "TlsConfig",
    "Token",
    "load_config",
    "parse_yaml",
]
