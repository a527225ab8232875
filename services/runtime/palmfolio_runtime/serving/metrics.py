"""Prometheus metrics of every call, and of what a service adds to `REGISTRY`."""

import threading
from typing import Self
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

from palmfolio_runtime.config import MetricsConfig, TlsConfig

# Not prometheus_client's global registry, to which any library may add collectors.
REGISTRY = CollectorRegistry()
"""The process's metrics; a service registers its own collectors here."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

CALLS = Counter("palmfolio_calls", "Calls that have ended.", ["method", "code"], registry=REGISTRY)
CALL_SECONDS = Histogram(
    "palmfolio_call_seconds",
    "How long calls took; streams until their end.",
    ["method"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
    registry=REGISTRY,
)
CALLS_RUNNING = Gauge(
    "palmfolio_calls_running", "Calls that are running.", ["method"], registry=REGISTRY
)
READY = Gauge("palmfolio_ready", "1 while the service takes work, else 0.", registry=REGISTRY)


class MetricsServer:
    """Serves the metrics over HTTP or HTTPS on a separate thread.

    Attributes:
        address: where it listens, `host:port`.
    """

    def __init__(self, server: WSGIServer, thread: threading.Thread, address: str) -> None:
        self.address = address
        self._server = server
        self._thread = thread

    @classmethod
    def start(cls, config: MetricsConfig, tls: TlsConfig | None) -> Self:
        """Starts to listen; `tls` has the service's certificate and tells whether clients need one.

        Raises:
            OSError: the address cannot be used.
        """
        host, _, port = config.address.rpartition(":")
        client_ca = tls.client_ca if tls else None
        try:
            server, thread = start_http_server(
                int(port),
                host.strip("[]"),
                REGISTRY,
                certfile=str(tls.certificate) if tls else None,
                keyfile=str(tls.key) if tls else None,
                client_cafile=str(client_ca) if client_ca else None,
                client_auth_required=client_ca is not None,
            )
        except OSError as error:
            raise OSError(f"cannot serve metrics on {config.address}: {error}") from error
        return cls(server, thread, f"{host}:{server.server_port}")

    def stop(self) -> None:
        """Stops listening. Blocking."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
