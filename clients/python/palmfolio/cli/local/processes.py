"""Runs the three services as child processes: starts, watches and stops them.

Files in the folder of a `Stack`:
    endpoints.json            addresses; exists while the services run
    logs/SERVICE.log          each run appended
    state/SERVICE.yaml        the configuration that the service was started with
"""

import asyncio
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self, TypeVar

import yaml

from palmfolio._connection import SERVICES, ServiceName
from palmfolio.errors import ConfigurationError, PalmfolioError

Result = TypeVar("Result")

_POLL_SECONDS = 0.05
_STOP_SECONDS = 15.0
_BLAME_SECONDS = 2.0
_LOG_LINES = 8
_DEPENDENCIES: dict[ServiceName, tuple[ServiceName, ...]] = {
    "scorer": (),
    "trainer": ("scorer",),
    "selector": ("scorer", "trainer"),
}
# PR_SET_PDEATHSIG: the kernel sends SIGTERM to the child if this process dies, even by SIGKILL.
# The setting survives exec, so a small program sets it and then becomes the service.
_TIED_TO_PARENT = (
    "import ctypes, os, signal, sys; "
    "ctypes.CDLL(None).prctl(1, signal.SIGTERM); os.execv(sys.argv[1], sys.argv[1:])"
)


class ServiceDied(PalmfolioError):
    """A service's process ended by itself.

    Attributes:
        service: its name.
        status: its exit status; negative for a signal's number.
        log: its log.
    """

    def __init__(self, service: str, status: int, log: Path) -> None:
        cause = f"with exit status {status}"
        if status < 0:
            cause = f"killed by {signal.Signals(-status).name}"
        last = _last_lines(log)
        super().__init__(
            f"the {service} died, {cause}. Its log is {log}"
            + (f" and ends with:\n{last}" if last else " and is empty.")
            + "\nRun the same command again: it goes on from the work already done."
        )
        self.service = service
        self.status = status
        self.log = log


@dataclass(frozen=True, slots=True)
class _Running:
    name: ServiceName
    process: asyncio.subprocess.Process
    log: Path


class Stack:
    """The services in one folder; an asynchronous context that stops what it started.

    Args:
        folder: where logs, configurations and `endpoints.json` go.
        configs: the services' configurations. Addresses are added to them: each service listens on
            a free loopback port unless its configuration has an address, and gets the addresses of
            the services that it calls.
        command: returns the command that runs a service, from its name and configuration file.
        grace: seconds that services have to stop before they are killed.
    """

    def __init__(
        self,
        folder: Path,
        configs: Mapping[str, Mapping[str, Any]],
        *,
        command: Callable[[ServiceName, Path], list[str]] | None = None,
        grace: float = _STOP_SECONDS,
    ) -> None:
        self._folder = folder.resolve()
        self._configs = configs
        self._command = command or service_command
        self._grace = grace
        self._running: list[_Running] = []
        self.addresses: dict[str, str] = {}

    @property
    def endpoints_file(self) -> Path:
        """The connection file; it exists while the services run."""
        return self._folder / "endpoints.json"

    def log(self, service: str) -> Path:
        """A service's log."""
        return self._folder / "logs" / f"{service}.log"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self, started: Callable[[str, str], None] = lambda name, address: None) -> None:
        """Starts the services one after the other, and returns when all listen.

        Args:
            started: called with the name and address of each service once it listens.

        Raises:
            ServiceDied: a service ended before it listened.
            ConfigurationError: a service is not installed.
        """
        for name in SERVICES:
            address_file = self._folder / "state" / f"{name}.address"
            address_file.parent.mkdir(parents=True, exist_ok=True)
            address_file.unlink(missing_ok=True)
            running = await self._spawn(name, self._complete(name, address_file))
            self._running.append(running)
            self.addresses[name] = await self._address(running, address_file)
            started(name, self.addresses[name])
        _write_aside(self.endpoints_file, json.dumps(self.addresses, indent=2) + "\n")

    async def watch(self) -> NoReturn:
        """Waits until a service ends.

        Raises:
            ServiceDied: always.
        """
        waiting = {
            asyncio.create_task(running.process.wait()): running for running in self._running
        }
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        ended = done.pop()
        raise ServiceDied(waiting[ended].name, ended.result(), waiting[ended].log)

    async def stop(self) -> None:
        """Asks the services to stop, kills those that do not, and removes `endpoints.json`."""
        self.endpoints_file.unlink(missing_ok=True)
        for running in self._running:
            with suppress(ProcessLookupError):
                running.process.terminate()
        ends = [running.process.wait() for running in self._running]
        try:
            await asyncio.wait_for(asyncio.gather(*ends), self._grace)
        except TimeoutError:
            pass
        finally:
            # Also after a clean stop: children that a service left behind must not outlive it.
            self.kill()
        self._running.clear()

    def kill(self) -> None:
        """Kills the services and their children at once."""
        for running in self._running:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(running.process.pid, signal.SIGKILL)

    def _complete(self, name: ServiceName, address_file: Path) -> dict[str, Any]:
        # Port 0: the system picks a free port, and the service writes it to its address file.
        config = {"address": "127.0.0.1:0", **self._configs.get(name, {})}
        config["address_file"] = str(address_file)
        for dependency in _DEPENDENCIES[name]:
            endpoint = config.get(dependency) or {}
            config[dependency] = {"address": self.addresses[dependency], **endpoint}
        return config

    async def _spawn(self, name: ServiceName, config: Mapping[str, Any]) -> _Running:
        path = self._folder / "state" / f"{name}.yaml"
        _write_aside(path, yaml.safe_dump(dict(config), sort_keys=False))
        command = self._command(name, path)
        if sys.platform == "linux":
            command = [sys.executable, "-c", _TIED_TO_PARENT, *command]
        log = self.log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await self._execute(command, output)
        return _Running(name, process, log)

    @staticmethod
    async def _execute(command: list[str], output: IO[bytes]) -> asyncio.subprocess.Process:
        # A session of its own for each service: Ctrl-C in the terminal reaches only this process,
        # which stops the services in order; and `kill` reaches a service's children as well.
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            # Unbuffered, so that a log is complete up to the moment of a crash.
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    async def _address(self, running: _Running, address_file: Path) -> str:
        while not (address := _read_address(address_file)):
            if running.process.returncode is not None:
                raise ServiceDied(running.name, running.process.returncode, running.log)
            await asyncio.sleep(_POLL_SECONDS)
        return address


def service_command(name: ServiceName, config: Path) -> list[str]:
    """The command that runs a service of this installation.

    Raises:
        ConfigurationError: it is not installed.
    """
    check_installed([name])
    return [sys.executable, "-m", f"palmfolio_{name}", "--config", str(config)]


def check_installed(services: Iterable[str]) -> None:
    """Checks that the services' packages are there.

    Raises:
        ConfigurationError: a package is missing; the message says what to install.
    """
    missing = [name for name in services if not importlib.util.find_spec(f"palmfolio_{name}")]
    if missing:
        extras = ",".join(missing)
        raise ConfigurationError(
            f"not installed here: {', '.join(missing)}. Install them with "
            f"`pip install 'palmfolio[{extras}]'`"
        )


async def supervised(stack: Stack, work: Coroutine[Any, Any, Result]) -> Result:
    """Does the work for as long as the services live.

    Raises:
        ServiceDied: a service ended. The work is cancelled, and its own errors, which the death
            caused, are not reported.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(stack.watch())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done() and not working.cancelled() and working.exception() is not None:
            # When a service dies, calls to it fail a moment before its exit is seen. Waiting for
            # the exit gives the cause instead of "unavailable".
            await asyncio.wait({watching}, timeout=_BLAME_SECONDS)
        if watching.done():
            watching.result()
        return await working
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


def run_until_signalled(stack: Stack, work: Callable[[], Coroutine[Any, Any, None]]) -> int | None:
    """Runs the work on a new event loop; SIGINT and SIGTERM end it properly.

    The first signal cancels the work, so that its contexts stop the services; a second one kills
    the services.

    Returns:
        The signal's number, or None when the work ended by itself.
    """
    received: list[int] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work())

        def on_signal(number: int) -> None:
            received.append(number)
            # A person who presses Ctrl-C twice wants out at once.
            if len(received) == 1:
                task.cancel()
            else:
                stack.kill()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal, number)
        try:
            await task
        except asyncio.CancelledError:
            if not received:
                raise

    asyncio.run(run())
    return received[0] if received else None


def _read_address(path: Path) -> str:
    """The address that the server wrote; empty until it listens."""
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _last_lines(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in lines[-_LOG_LINES:])


def _write_aside(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written under another name and renamed: readers never see half a file.
    aside = path.with_name(path.name + ".new")
    aside.write_text(content, encoding="utf-8")
    aside.replace(path)
