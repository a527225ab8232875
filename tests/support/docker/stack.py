"""The compose stack under test, and the client's way to it."""

import asyncio
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import palmfolio
from palmfolio.cli.local.readiness import wait_until_ready
from tests.support.docker.engine import DockerFailed, compose_command, run

_COMPOSE_FILE = Path(__file__).parents[3] / "docker" / "compose.yaml"
_PROJECT = "palmfolio-test"
_READY_SECONDS = 600.0
_LOG_LINES = 60
SERVICES = ("scorer", "trainer", "selector")


class Stack:
    """docker/compose.yaml as a project of its own on free ports.

    Args:
        images: values of the compose file's variables that choose images and how to build them.

    Attributes:
        endpoints: `host:port` by service, as published.
    """

    def __init__(self, images: Mapping[str, str]) -> None:
        self.endpoints = {name: f"127.0.0.1:{_free_port()}" for name in SERVICES}
        ports = {
            f"{name.upper()}_PORT": address.rpartition(":")[2]
            for name, address in self.endpoints.items()
        }
        self._environment = {
            **ports,
            **images,
            **{f"PALMFOLIO_{name.upper()}_IMAGE": self.image(name) for name in SERVICES},
        }
        compose = compose_command()
        assert compose is not None
        self._command = [*compose, "--project-name", _PROJECT, "--file", str(_COMPOSE_FILE)]

    @staticmethod
    def image(service: str) -> str:
        """The name of a service's image."""
        return f"palmfolio-test-{service}"

    def compose(self, *arguments: str) -> str:
        """Runs a command of Compose and returns what it printed."""
        return run([*self._command, *arguments], self._environment)

    def up(self) -> None:
        """Starts what does not run, and returns when all services take work."""
        self.compose("up", "--detach")
        self.wait()

    def down(self, with_volumes: bool = False) -> None:
        """Removes the containers, and the volumes if told so."""
        self.compose("down", *(["--volumes"] if with_volumes else []))

    def restart(self, service: str) -> None:
        """Restarts a service, and returns when all services take work."""
        self.compose("restart", service)
        self.wait()

    def kill(self, service: str) -> None:
        """Kills a service's container at once."""
        run(["docker", "kill", self.container(service)])

    def start(self, service: str) -> None:
        """Starts a killed service, and returns when all services take work."""
        run(["docker", "start", self.container(service)])
        self.wait()

    def container(self, service: str) -> str:
        """The id of a service's container, running or not."""
        label = f"label=com.docker.compose.service={service}"
        project = f"label=com.docker.compose.project={_PROJECT}"
        listed = run(["docker", "ps", "--all", "--quiet", "--filter", project, "--filter", label])
        (identifier,) = listed.split()
        return identifier

    def logs(self) -> str:
        """The last lines that each container printed, and how the containers are."""
        shown = ("ps", "--all"), ("logs", "--no-color", "--tail", str(_LOG_LINES))
        texts = []
        for arguments in shown:
            try:
                texts.append(run([*self._command, *arguments], self._environment, log=False))
            except DockerFailed as error:
                texts.append(str(error))
        return "\n".join(texts)

    def state(self, service: str) -> dict[str, Any]:
        """What the engine says of a service's container."""
        inspected = run(["docker", "inspect", self.container(service)], log=False)
        state: dict[str, Any] = json.loads(inspected)[0]
        return state

    def client(self) -> palmfolio.Client:
        """A client that uses the published ports."""
        return palmfolio.Client(self.endpoints)

    def wait(self) -> None:
        """Returns when all services take work; shows their logs when they do not."""
        try:
            asyncio.run(asyncio.wait_for(wait_until_ready(self.endpoints, print), _READY_SECONDS))
        except TimeoutError:
            print(self.logs())
            raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
