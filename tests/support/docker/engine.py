"""A Docker engine: the one that runs, or one that the tests start."""

import functools
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

REQUIRED = "PALMFOLIO_REQUIRE_DOCKER"
CACHE = "PALMFOLIO_DOCKER_CACHE"
_START_SECONDS = 120.0
_LOG_LINES = 30


class DockerFailed(AssertionError):
    """A command failed; the message ends with what it printed."""


def cache_folder() -> Path:
    """Where what takes long to make is kept: `$PALMFOLIO_DOCKER_CACHE`, or in the user's cache."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get(CACHE) or Path(user_cache) / "palmfolio-docker")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None, log: bool = True
) -> str:
    """Runs a command and returns what it printed on standard output.

    Args:
        command: the program and its arguments.
        environment: variables in addition to this process's own.
        log: whether its output goes to pytest's captured output as it comes.

    Raises:
        DockerFailed: it ended with an error.
    """
    words = [str(word) for word in command]
    started = time.monotonic()
    done = subprocess.run(
        words,
        env={**os.environ, **_builder(), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if log else subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if log:
        print(f"$ {' '.join(words)}  [{time.monotonic() - started:.0f} s]\n{done.stdout}")
    if done.returncode:
        tail = "\n".join((done.stdout + (done.stderr or "")).splitlines()[-60:])
        raise DockerFailed(f"{' '.join(words)} ended with code {done.returncode}:\n{tail}")
    return done.stdout


@functools.cache
def _builder() -> Mapping[str, str]:
    """Variables that have images built by BuildKit, which takes a third of the time, if it can be.

    Newer clients need a plugin for it. Where that is missing, an older client may be installed.
    """
    buildkit = {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
    path = os.environ.get("PATH", os.defpath)
    for folder in path.split(os.pathsep):
        if shutil.which("docker", path=folder):
            variables = {**buildkit, "PATH": f"{folder}{os.pathsep}{path}"}
            command = [f"{folder}/docker", "build", "--help"]
            asked = subprocess.run(
                command, env={**os.environ, **variables}, capture_output=True, check=False
            )
            if asked.returncode == 0:
                return variables
    return {"DOCKER_BUILDKIT": "0"}


def answers() -> bool:
    """Whether an engine runs that this user may use."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False)
    return asked.returncode == 0


def compose_command() -> list[str] | None:
    """Compose v2 where the engine has it, docker-compose otherwise, None without either."""
    if shutil.which("docker"):
        plugin = subprocess.run(
            ["docker", "compose", "version"], capture_output=True, timeout=60, check=False
        )
        if plugin.returncode == 0:
            return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def missing_programs() -> list[str]:
    """What the tests need and this machine lacks."""
    programs = {"docker": "docker.io", "debootstrap": "debootstrap"}
    missing = [package for name, package in programs.items() if shutil.which(name) is None]
    return missing if compose_command() else [*missing, "docker-compose"]


def engine_log() -> Path:
    """What an engine of the tests' own prints."""
    return cache_folder() / "dockerd.log"


def tail_of(log: Path) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


class Engine:
    """An engine of the tests' own, for where none runs. Takes root."""

    def __init__(self) -> None:
        self.log = engine_log()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers.

        Raises:
            DockerFailed: it ended, or does not answer.
        """
        if shutil.which("dockerd") is None:
            raise DockerFailed("no engine answers, and dockerd of Debian's docker.io is missing")
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(["dockerd"], stdout=output, stderr=output)
        give_up = time.monotonic() + _START_SECONDS
        while not answers():
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.stop()
                raise DockerFailed(f"dockerd does not run; {self.log} ends:\n{tail_of(self.log)}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stops it if it was started here; images stay for the next time."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)
