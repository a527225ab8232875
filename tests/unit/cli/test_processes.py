"""Child processes: started in order, watched, and stopped whatever happens."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from palmfolio.cli.local.processes import ServiceDied, Stack, run_until_signalled, supervised
from palmfolio.errors import PalmfolioError, Unavailable

# Takes the place of a service: writes its address, then does what its configuration says.
_PROGRAM = """
import os, signal, sys, time, yaml
config = yaml.safe_load(open(sys.argv[1]))
print("started with", sorted(config), flush=True)
if config.get("fails"):
    sys.exit("cannot start: " + config["fails"])
if config.get("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(config["address_file"] + ".new", "w") as file:
    file.write(f"127.0.0.1:{os.getpid()}")
os.replace(config["address_file"] + ".new", config["address_file"])
time.sleep(config.get("lives", 600))
sys.exit(3)
"""


def _stack(folder: Path, grace: float = 10.0, **configs: dict[str, object]) -> Stack:
    program = folder / "program.py"
    program.write_text(_PROGRAM)
    return Stack(
        folder,
        configs,
        command=lambda name, config: [sys.executable, str(program), str(config)],
        grace=grace,
    )


def _process(stack: Stack, service: str) -> int:
    return int(stack.addresses[service].rpartition(":")[2])


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def test_each_service_learns_where_those_are_that_it_needs(tmp_path: Path) -> None:
    async with _stack(tmp_path, trainer={"scorer": {"token": "t"}}) as stack:
        await stack.start()
        assert json.loads(stack.endpoints_file.read_text()) == stack.addresses
        trainer = yaml.safe_load((tmp_path / "state" / "trainer.yaml").read_text())
        selector = yaml.safe_load((tmp_path / "state" / "selector.yaml").read_text())
        assert trainer["scorer"] == {"address": stack.addresses["scorer"], "token": "t"}
        assert selector["scorer"] == {"address": stack.addresses["scorer"]}
        assert selector["trainer"] == {"address": stack.addresses["trainer"]}
        processes = [_process(stack, name) for name in stack.addresses]
        assert all(map(_alive, processes))
    assert not any(map(_alive, processes))
    assert not stack.endpoints_file.exists()


async def test_a_service_that_cannot_start_is_named_with_its_log(tmp_path: Path) -> None:
    async with _stack(tmp_path, trainer={"fails": "no such model"}) as stack:
        with pytest.raises(ServiceDied, match="the trainer died, with exit status 1") as caught:
            await stack.start()
        scorer = _process(stack, "scorer")
    assert str(tmp_path / "logs" / "trainer.log") in str(caught.value)
    assert "cannot start: no such model" in str(caught.value)
    assert not _alive(scorer)


@pytest.mark.parametrize("victim", ["scorer", "trainer", "selector"])
async def test_a_killed_service_ends_the_work(tmp_path: Path, victim: str) -> None:
    cancelled = asyncio.Event()

    async def work(stack: Stack) -> None:
        os.kill(_process(stack, victim), signal.SIGKILL)
        try:
            await asyncio.sleep(600)
        finally:
            cancelled.set()

    async with _stack(tmp_path) as stack:
        await stack.start()
        with pytest.raises(ServiceDied, match=f"the {victim} died, killed by SIGKILL") as caught:
            await supervised(stack, work(stack))
    assert cancelled.is_set()
    assert caught.value.status == -signal.SIGKILL
    assert caught.value.log == tmp_path / "logs" / f"{victim}.log"


async def test_a_death_is_blamed_before_the_call_that_it_failed(tmp_path: Path) -> None:
    async def work(stack: Stack) -> None:
        os.kill(_process(stack, "trainer"), signal.SIGKILL)
        raise Unavailable("cannot reach the trainer")

    async with _stack(tmp_path) as stack:
        await stack.start()
        with pytest.raises(ServiceDied, match="the trainer died"):
            await supervised(stack, work(stack))


@pytest.mark.slow
async def test_a_failure_of_the_work_itself_is_reported(tmp_path: Path) -> None:
    async def work() -> None:
        raise PalmfolioError("it went wrong")

    async with _stack(tmp_path) as stack:
        await stack.start()
        with pytest.raises(PalmfolioError, match="it went wrong"):
            await supervised(stack, work())


async def test_the_works_result_is_returned(tmp_path: Path) -> None:
    async def work() -> int:
        return 7

    async with _stack(tmp_path) as stack:
        await stack.start()
        assert await supervised(stack, work()) == 7


async def test_a_service_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    async with _stack(tmp_path, grace=0.2, scorer={"stubborn": True}) as stack:
        await stack.start()
        scorer = _process(stack, "scorer")
    for _ in range(100):
        if not _alive(scorer):
            break
        await asyncio.sleep(0.05)
    assert not _alive(scorer)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_services(tmp_path: Path, number: signal.Signals) -> None:
    stack = _stack(tmp_path)
    processes: list[int] = []

    async def work() -> None:
        async with stack:
            await stack.start()
            processes.extend(_process(stack, name) for name in stack.addresses)
            os.kill(os.getpid(), number)
            await asyncio.sleep(600)

    assert run_until_signalled(stack, work) == number
    assert len(processes) == 3
    assert not any(map(_alive, processes))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties processes to their parent")
@pytest.mark.slow
def test_services_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_PROGRAM)
    parent = f"""
import asyncio, pathlib, sys
from palmfolio.cli.local.processes import Stack
folder = pathlib.Path({str(tmp_path)!r})
stack = Stack(folder, {{}}, command=lambda name, config: [
    sys.executable, str(folder / "program.py"), str(config)])
async def work():
    async with stack:
        await stack.start()
        await asyncio.sleep(600)
asyncio.run(work())
"""
    started = subprocess.Popen([sys.executable, "-c", parent])
    endpoints = tmp_path / "endpoints.json"
    try:
        for _ in range(600):
            if endpoints.exists():
                break
            time.sleep(0.05)
        addresses = json.loads(endpoints.read_text())
    finally:
        started.kill()
        started.wait()
    processes = [int(address.rpartition(":")[2]) for address in addresses.values()]
    for _ in range(200):
        if not any(map(_alive, processes)):
            break
        time.sleep(0.05)
    assert not any(map(_alive, processes))
