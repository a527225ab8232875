"""Real services as processes of their own, on loopback sockets."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

REPOSITORY = Path(__file__).parents[3]
START_SECONDS = 180.0
STOP_SECONDS = 60.0
_LOG_LINES = 40


class ServiceFailed(AssertionError):
    """A service did not start, or died; the message ends with its log."""


class ServiceProcess:
    """A service that a test started.

    Attributes:
        name: `scorer`, `trainer` or `selector`.
        folder: its configuration, its log and whatever its configuration puts there.
        address: where it listens.
        channel: a channel to it.
        config: its configuration.
    """

    def __init__(self, name: str, config: Mapping[str, Any], folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.address = ""
        self.channel: grpc.Channel
        self.config = dict(config)
        self._process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def start(self, until_ready: bool = True) -> None:
        """Starts the process and waits until it takes work, or only until it listens.

        A restart keeps the address.

        Raises:
            ServiceFailed: it ended, or was not ready in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        address_file = self.folder / f"{self.name}.address"
        address_file.unlink(missing_ok=True)
        config_file = self.folder / f"{self.name}.yaml"
        values = {
            "address": self.address or "127.0.0.1:0",
            "address_file": str(address_file),
            "drain_seconds": 2.0,
            **self.config,
        }
        config_file.write_text(yaml.safe_dump(values), encoding="utf-8")
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"palmfolio_{self.name}", "--config", str(config_file)],
                stdout=output,
                stderr=output,
                cwd=REPOSITORY,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "HF_HUB_OFFLINE": "1",
                    "PYTHONFAULTHANDLER": "1",
                },
            )
        try:
            self._wait_until_listening(address_file)
            if until_ready:
                self.wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stops the process with SIGTERM.

        Raises:
            ServiceFailed: it did not end in time, or ended with an error.
        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self.channel.close()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # It prints what each of its threads is at, and dies.
            self._process.send_signal(signal.SIGABRT)
            self._process.wait()
            raise self._failed("did not stop") from None
        if code:
            raise self._failed(f"ended with code {code}")

    def kill(self) -> None:
        """Kills the process with SIGKILL."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def log_text(self) -> str:
        """All that the service printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def _wait_until_listening(self, address_file: Path) -> None:
        give_up = time.monotonic() + START_SECONDS
        while not address_file.exists():
            self._check_alive(give_up)
            time.sleep(0.02)
        self.address = address_file.read_text(encoding="utf-8").strip()
        self.channel = grpc.insecure_channel(
            self.address, options=[("grpc.max_receive_message_length", 64 * 2**20)]
        )

    def wait_until_ready(self) -> None:
        """Waits until the service takes work.

        Raises:
            ServiceFailed: it ended, or was not ready in time.
        """
        give_up = time.monotonic() + START_SECONDS
        while not self.serves(f"palmfolio.v1.{self.name.capitalize()}"):
            self._check_alive(give_up)
            time.sleep(0.05)

    def serves(self, service: str) -> bool:
        """Whether health says that a gRPC service is serving; empty asks whether it is alive."""
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            answer = health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=5)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def _check_alive(self, give_up: float) -> None:
        if self._process.poll() is not None:
            raise self._failed(f"ended with code {self._process.returncode} before it was ready")
        if time.monotonic() > give_up:
            raise self._failed(f"was not ready after {START_SECONDS:.0f} s")

    def _failed(self, reason: str) -> ServiceFailed:
        tail = "\n".join(self.log_text().splitlines()[-_LOG_LINES:])
        return ServiceFailed(f"the {self.name} {reason}; {self.log} ends:\n{tail}")


def start_service(name: str, config: Mapping[str, Any], folder: Path) -> ServiceProcess:
    """Starts a service and waits until it takes work.

    Args:
        name: `scorer`, `trainer` or `selector`.
        config: its configuration, without `address` and `address_file`.
        folder: where its configuration and its log go.

    Raises:
        ServiceFailed: it ended, or was not ready in time.
    """
    process = ServiceProcess(name, config, folder)
    process.start()
    return process
