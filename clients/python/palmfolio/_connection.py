"""The settings of a connection: addresses, token, TLS, timeouts and channel options."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from palmfolio.errors import ConfigurationError

ServiceName = Literal["scorer", "trainer", "selector"]
SERVICES: tuple[ServiceName, ...] = ("scorer", "trainer", "selector")

ENDPOINTS_VARIABLE = "PALMFOLIO_ENDPOINTS"
TOKEN_VARIABLE = "PALMFOLIO_TOKEN"

# The services' own limit. gRPC's default of 4 MiB is too small for a batch of long texts.
_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_GRPC_SERVICES = (
    "palmfolio.v1.Scorer",
    "palmfolio.v1.Trainer",
    "palmfolio.v1.Selector",
    "google.longrunning.Operations",
)
# Addresses that never leave this machine, so that a token needs no encryption.
_LOOPBACK = ("127.", "localhost", "[::1]", "unix:")


@dataclass(frozen=True, slots=True)
class TLS:
    """TLS of the channels; mutual when `certificate` and `key` are set. All files are PEM.

    Example:
        tls = palmfolio.TLS(ca="ca.pem", certificate="client.pem", key="client.key")
        client = palmfolio.Client(scorer="scorer.example:443", token="secret", tls=tls)
    """

    ca: str | Path | None = None
    """Certificates to trust; None trusts the system's."""
    certificate: str | Path | None = None
    key: str | Path | None = None
    server_name: str | None = None
    """The name that the servers' certificates must have; None means the name in the address."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a call without a `timeout` of its own may take; None means no limit.

    Example:
        client = palmfolio.Client("endpoints.json", timeouts=palmfolio.Timeouts(call=5, score=60))
    """

    call: float | None = 30.0
    """Calls that look up or store."""
    score: float | None = 300.0
    """Calls that score samples."""
    generate: float | None = 1800.0
    """Calls that sample responses, import evaluations or select portfolios."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The settings that every channel of a client shares."""

    addresses: Mapping[str, str]
    """`host:port` by service name."""
    token: str | None = field(default=None, repr=False)
    tls: TLS | None = None
    insecure: bool = False
    """Allows a token to travel without TLS to an address other than loopback."""

    def address(self, service: ServiceName) -> str:
        """The address of a service.

        Raises:
            ConfigurationError: no address was given, or the token would be sent without encryption.
        """
        address = self.addresses.get(service)
        if not address:
            raise ConfigurationError(
                f"no address is known for the {service}: pass {service}='host:port', or endpoints "
                f"with a {service!r} entry"
            )
        exposed = not address.startswith(_LOOPBACK)
        if self.token and self.tls is None and exposed and not self.insecure:
            raise ConfigurationError(
                f"the token would be sent to {address} without encryption: pass tls=, or "
                "insecure=True"
            )
        return address


def connection(
    endpoints: Mapping[str, str] | str | Path | None,
    explicit: Mapping[str, str | None],
    token: str | None,
    tls: TLS | None,
    insecure: bool,
) -> Connection:
    """Brings the settings of a client together.

    Args:
        endpoints: addresses by service, or a connection file; None takes `PALMFOLIO_ENDPOINTS`
            when no explicit address is given.
        explicit: addresses that take precedence over those of `endpoints`.
        token: a bearer token; None takes the file's, then `PALMFOLIO_TOKEN`.
        tls: TLS settings; None takes the file's.
        insecure: see `Connection`.

    Raises:
        ConfigurationError: the file cannot be used, or no address is known.
    """
    chosen = {name: address for name, address in explicit.items() if address}
    # Explicit addresses are the caller's choice: the environment must not add services to them.
    if endpoints is None and not chosen:
        endpoints = os.environ.get(ENDPOINTS_VARIABLE) or None
    named = Connection({})
    if isinstance(endpoints, Mapping):
        named = Connection(_only_services(endpoints, "endpoints"))
    elif endpoints is not None:
        named = read_connection_file(Path(endpoints))
    addresses = {**named.addresses, **chosen}
    if not addresses:
        raise ConfigurationError(
            "no service address is known: pass scorer=, trainer= or selector= as 'host:port', "
            f"or endpoints=FILE, or set {ENDPOINTS_VARIABLE} to such a file"
        )
    token = token or named.token or os.environ.get(TOKEN_VARIABLE) or None
    if token is not None and not (token.isascii() and token.isprintable()):
        raise ConfigurationError(
            "the token holds characters that cannot be sent; it must be printable ASCII, without "
            "line breaks"
        )
    return Connection(
        addresses=addresses,
        token=token,
        tls=tls or named.tls,
        insecure=insecure or named.insecure,
    )


def read_connection_file(path: Path) -> Connection:
    """Reads a connection file: JSON with an address per service.

    `{"scorer": "host:port", "trainer": …, "selector": …}`, and optionally `token`, `insecure` and
    `tls` with `ca`, `certificate`, `key` (paths relative to the file) and `server_name`.

    Raises:
        ConfigurationError: the file cannot be read, or is not such a file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError:
        raise ConfigurationError(
            f"the connection file {path} is not JSON: it is nested too deeply"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the connection file {path}: {error.strerror}"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"the connection file {path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"the connection file {path} must hold a JSON object")
    tls = content.pop("tls", None)
    token = content.pop("token", None)
    if not isinstance(token, str | None):
        raise ConfigurationError(f"the connection file {path}: token must be a text")
    insecure = bool(content.pop("insecure", False))
    addresses = _only_services(content, f"the connection file {path}")
    return Connection(addresses, token, _read_tls(tls, path), insecure)


def _only_services(content: Mapping[str, Any], where: str) -> dict[str, str]:
    for name, address in content.items():
        if name not in SERVICES:
            raise ConfigurationError(
                f"{where}: unknown service {name!r}; known: {', '.join(SERVICES)}"
            )
        if not isinstance(address, str) or not address:
            raise ConfigurationError(f"{where}: the address of the {name} must be 'host:port'")
    return dict(content)


def _read_tls(entry: Any, path: Path) -> TLS | None:
    if entry is None:
        return None
    allowed = {item.name for item in fields(TLS)}
    if not isinstance(entry, dict) or not set(entry) <= allowed:
        raise ConfigurationError(
            f"the connection file {path}: tls must hold only {', '.join(sorted(allowed))}"
        )
    if not all(isinstance(value, str) for value in entry.values()):
        raise ConfigurationError(f"the connection file {path}: tls must hold texts only")
    # Relative to the file, so that a folder with the file and its certificates can be moved.
    files = {key: path.parent / value for key, value in entry.items() if key != "server_name"}
    return TLS(**files, server_name=entry.get("server_name"))


def channel_options(tls: TLS | None) -> list[tuple[str, Any]]:
    """Channel arguments: message limits, keepalive, retries of UNAVAILABLE."""
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        # Pings keep a connection open through proxies that drop idle ones, and find a dead peer.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # With gRPC's default of two minutes, calls would fail long after a service has restarted.
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.service_config", _service_config()),
    ]
    if tls is not None and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


def _service_config() -> str:
    # gRPC ignores a method configuration without `name`, and caps attempts at 5.
    retry = {
        "maxAttempts": 5,
        "initialBackoff": "0.2s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    names = [{"service": service} for service in _GRPC_SERVICES]
    # No retries by gRPC for streams: `_scoring` reopens a stream itself and resends only the
    # samples without an answer, where gRPC would resend all of them.
    stream = {"name": [{"service": "palmfolio.v1.Scorer", "method": "ScoreStream"}]}
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": retry}, stream]})


def credentials_files(tls: TLS) -> tuple[bytes | None, bytes | None, bytes | None]:
    """The contents of `ca`, `key` and `certificate`, in the order that gRPC takes them.

    Raises:
        ConfigurationError: a file cannot be read, or only one of certificate and key is given.
    """
    if (tls.certificate is None) != (tls.key is None):
        raise ConfigurationError("tls: certificate and key go together; give both or neither")
    return _read_pem(tls.ca), _read_pem(tls.key), _read_pem(tls.certificate)


def _read_pem(path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"tls: cannot read {path}: {error.strerror}") from error
