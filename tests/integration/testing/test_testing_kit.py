"""The testing kit as its users run it: the example's own tests, in a process of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from palmfolio.cli.local.processes import ServiceDied
from palmfolio.errors import ConfigurationError
from palmfolio.testing import local_services, services_at
from tests.support.services.processes import ServiceProcess

EXAMPLE = Path(__file__).parents[3] / "examples" / "testing"


def run_example(folder: Path, **environment: str) -> str:
    """The summary of the example's tests."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(EXAMPLE), "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_the_example_starts_its_own_services_and_stops_them(tmp_path: Path) -> None:
    assert "2 passed" in run_example(tmp_path, TMPDIR=str(tmp_path))
    # Configurations name the folder, so that a process left behind would show it.
    left = subprocess.run(["pgrep", "-f", f"palmfolio_.*{tmp_path}"], check=False)
    assert left.returncode == 1


def test_the_example_runs_against_services_by_url(
    tmp_path: Path,
    scorer_process: ServiceProcess,
    trainer_process: ServiceProcess,
    selector_by_url: ServiceProcess,
) -> None:
    processes = {
        "scorer": scorer_process,
        "trainer": trainer_process,
        "selector": selector_by_url,
    }
    addresses = {name: process.address for name, process in processes.items()}
    endpoints = tmp_path / "endpoints.json"
    endpoints.write_text(json.dumps(addresses))
    assert "2 passed" in run_example(tmp_path, PALMFOLIO_TEST_ENDPOINTS=str(endpoints))
    services = services_at(endpoints)
    assert services.base_model == "tiny" and services.folder is None
    with services.client() as client:
        assert client.selector.get_portfolio("assistant").spec.traits == services.traits


def test_a_service_that_cannot_start_is_named_with_its_log(tmp_path: Path) -> None:
    wrong = {"scorer": {"traits": [{"name": "x", "kind": "verifier", "check": "length"}]}}
    with (
        pytest.raises((ServiceDied, ConfigurationError), match="normalisation: Field required"),
        local_services(tmp_path, configs=wrong),
    ):
        pytest.fail("the services started")
