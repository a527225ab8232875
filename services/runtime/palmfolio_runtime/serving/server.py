"""Runs a service: listens, answers health at once, starts the service, drains on a signal."""

import asyncio
import faulthandler
import signal
import sys
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from palmfolio_runtime.clients.channels import server_options
from palmfolio_runtime.config import ServerConfig, TlsConfig
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.logs import configure, get_logger
from palmfolio_runtime.serving import reflection
from palmfolio_runtime.serving.interceptors import CallInterceptor
from palmfolio_runtime.serving.metrics import READY, MetricsServer
from palmfolio_runtime.volumes import write_text

log = get_logger(__name__)

_READINESS_SECONDS = 0.5
_CLOSING_SECONDS = 2.0
"""Part of the drain time, at most half of it, in which the service closes after its last call."""
_LEAST_SECONDS = 10.0
"""A process never has less time than this from the signal to its end, whatever the drain time."""
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Service(Protocol):
    """A service that `run` can serve."""

    names: Sequence[str]
    """The full names of the gRPC services, the service's own first."""

    def register(self, server: aio.Server) -> None:
        """Adds the servicers."""

    async def start(self) -> None:
        """Makes the service ready: opens the database, loads models. May take long."""

    def not_ready(self) -> Sequence[str]:
        """Why the service takes no work now, for people; empty when it takes work."""

    async def stop(self) -> None:
        """Releases what `start` acquired. Called after the last call has ended."""


@runtime_checkable
class Reloadable(Protocol):
    """A service that reads its configuration again on SIGHUP."""

    async def reload(self) -> None:
        """Takes the new configuration, or keeps the old one.

        Called after `start`, one call at a time; signals during a reload cause one more.
        """


def run(service: Service, config: ServerConfig) -> None:
    """Serves until SIGTERM or SIGINT; a second signal stops at once. Exits the process on failure.

    From the first signal the process has `drain_seconds` (at least 10 s) to end. What still runs
    then, a thread that never ends for example, is written to the log, and the process ends.

    SIGHUP makes a `Reloadable` service reload.

    Health: the service `""` is SERVING as soon as the process listens; the service's own name is
    SERVING while `not_ready` is empty.
    """
    configure(config.service, config.log_format, config.log_level)
    try:
        asyncio.run(_serve(service, config))
    except (OSError, ServiceError, RuntimeError) as error:
        log.error("the service could not run", error=str(error))
        sys.exit(1)


async def _serve(service: Service, config: ServerConfig) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop, config.drain_seconds)
    hangup = asyncio.Event()
    if isinstance(service, Reloadable):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    server = aio.server(
        interceptors=[CallInterceptor(config.tokens)], options=server_options(config.limits)
    )
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    service.register(server)
    health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    reflection.enable([*service.names, health_name], server)
    # Alive from the first moment, ready later: an orchestrator must not restart a service that
    # loads its models.
    await health.set("", _SERVING)
    await health.set(service.names[0], _NOT_SERVING)
    address = _listen(server, config)
    await server.start()
    log.info("listening", address=address)
    metrics = MetricsServer.start(config.metrics, config.tls) if config.metrics else None
    if metrics:
        log.info("serving metrics", address=metrics.address)
    # Written after the port is open: a program that waits for the file can connect at once.
    if config.address_file:
        write_text(config.address_file, address)

    starting = asyncio.create_task(service.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not stop.is_set():
            await starting
            watching = [asyncio.create_task(_report_readiness(service, health))]
            if isinstance(service, Reloadable):
                watching.append(asyncio.create_task(_reload_on_signal(service, hangup)))
            await stopping
            for task in watching:
                task.cancel()
    finally:
        log.info("stopping", drain_seconds=config.drain_seconds)
        # Not serving first, so that load balancers send nothing new while running calls end.
        await health.enter_graceful_shutdown()
        closing = min(_CLOSING_SECONDS, config.drain_seconds / 2)
        await server.stop(config.drain_seconds - closing)
        starting.cancel()
        await service.stop()
        if metrics:
            await asyncio.to_thread(metrics.stop)
        if config.address_file:
            config.address_file.unlink(missing_ok=True)


async def _report_readiness(service: Service, health: HealthServicer) -> None:
    reported: list[str] | None = None
    while True:
        reasons = list(service.not_ready())
        if reasons != reported:
            await health.set(service.names[0], _NOT_SERVING if reasons else _SERVING)
            READY.set(not reasons)
            log.info("readiness", ready=not reasons, reasons=reasons)
            reported = reasons
        await asyncio.sleep(_READINESS_SECONDS)


async def _reload_on_signal(service: Reloadable, signalled: asyncio.Event) -> None:
    while True:
        await signalled.wait()
        signalled.clear()
        log.info("reloading")
        try:
            await service.reload()
        except Exception:  # the service goes on with the configuration that it has
            log.exception("the reload failed")


def _stop_on_signals(stop: asyncio.Event, drain_seconds: float) -> None:
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            log.warning("second signal: stopping at once")
            sys.stderr.flush()
            # The default action ends the process with the status that its parent expects.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        # It needs neither the event loop nor Python's lock, which a stuck thread may hold.
        faulthandler.dump_traceback_later(max(drain_seconds, _LEAST_SECONDS), exit=True)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


def _listen(server: aio.Server, config: ServerConfig) -> str:
    try:
        if config.tls:
            port = server.add_secure_port(config.address, _credentials(config.tls))
        else:
            port = server.add_insecure_port(config.address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {config.address}: is the port taken?") from error
    host = config.address.rpartition(":")[0]
    return f"{host}:{port}"


def _credentials(tls: TlsConfig) -> grpc.ServerCredentials:
    client_ca = tls.client_ca.read_bytes() if tls.client_ca else None
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.certificate.read_bytes())],
        root_certificates=client_ca,
        require_client_auth=client_ca is not None,
    )


__all__ = ["Reloadable", "Service", "run"]
