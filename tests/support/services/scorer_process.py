"""A real scorer process on a real socket."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import yaml
from prometheus_client.parser import text_string_to_metric_families

from palmfolio.v1 import scorer_pb2_grpc, types_pb2

TRAITS = Path(__file__).parents[3] / "examples" / "quickstart" / "traits.yaml"
_START_SECONDS = 240


class ScorerProcess:
    """A running scorer."""

    def __init__(self, process: subprocess.Popen[bytes], address: str, log: Path) -> None:
        self.process = process
        self.address = address
        self.log = log
        self.channel = grpc.insecure_channel(
            address, options=[("grpc.max_receive_message_length", 64 * 2**20)]
        )
        self.stub = scorer_pb2_grpc.ScorerStub(self.channel)

    def info(self) -> types_pb2.ServerInfo:
        """What `GetServerInfo` answers."""
        return self.stub.GetServerInfo(types_pb2.GetServerInfoRequest(), wait_for_ready=True)

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Values of `palmfolio_scorer_*` by the rest of the name and by labels, which are in the
        order of their names.
        """
        address = re.search(r"serving metrics.*?address=(\S+)", self.log.read_text())
        assert address
        with urllib.request.urlopen(f"http://{address[1]}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        return {
            (sample.name.removeprefix("palmfolio_scorer_"), *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if family.name.startswith("palmfolio_scorer_")
        }


@contextmanager
def running_scorer(
    folder: Path, plugins: Path | None = None, **config: object
) -> Iterator[ScorerProcess]:
    """Runs a scorer until its models are loaded, or have failed to; stops it cleanly.

    `plugins` is a folder with installed distributions.
    """
    address_file, log = folder / "address", folder / "scorer.log"
    config_file = folder / "scorer.yaml"
    values = {"address_file": str(address_file), "threads": 1, "drain_seconds": 2} | config
    config_file.write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "palmfolio_scorer", "--config", str(config_file)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    if plugins:
        environment["PYTHONPATH"] = str(plugins)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        give_up = time.monotonic() + _START_SECONDS
        while not address_file.exists():
            assert process.poll() is None and time.monotonic() < give_up, log.read_text()
            time.sleep(0.05)
        scorer = ScorerProcess(process, address_file.read_text().strip(), log)
        while any("being loaded" in reason for reason in scorer.info().readiness.reasons):
            assert process.poll() is None and time.monotonic() < give_up, log.read_text()
            time.sleep(0.1)
        yield scorer
        scorer.channel.close()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def install_plugin(folder: Path, kind: str, code: str) -> Path:
    """Installs a trait kind into a folder of distributions: the class `Plugin` of that code."""
    about = folder / f"{kind}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {kind}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[palmfolio.traits]\n{kind} = {kind}:Plugin\n")
    (folder / f"{kind}.py").write_text(code)
    return folder
