"""Many clients at once against a scorer with a queue far too small for all of them.

    python benchmarks/scorer/load.py PROMPTS.jsonl [--clients 200] [--seconds 60] [--threads 2]

Half of the clients call `score`, half hold a `score_stream`; each has a connection of its own and
compares every reward with a table that was made before, one sample a request. Meanwhile another
process asks for the scorer's health every 100 ms, and its memory is read twice a second. Afterwards
a client fills the queue and goes away, by cancelling and by being killed: how long until another
client is admitted.

Ends with code 1 unless health answered within a second throughout, no reward was lost, doubled or
wrong, overload was refused and all work was finished, and queue capacity was free within a second.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from load_clients import Expected, Tally, run_clients
from load_release import seconds_until_admitted
from throughput import wait_for
from workload import mixed_length_texts, save_classifier

import palmfolio
from palmfolio import Sample

HERE = Path(__file__).parent
TEXTS = 256
CHARACTERS = 400
QUEUE = 128
SIGMOID = {"kind": "sigmoid"}
_REPEATS = 5  # of what is measured after a client went away
_HEALTH_SECONDS = 1.0
_RELEASE_SECONDS = 1.0


@contextlib.contextmanager
def scorer(folder: Path, threads: int) -> Iterator[tuple[str, int, Path]]:
    """A scorer process: its address, process id and log. Its cache is off."""
    address, log = folder / "address", folder / "scorer.log"
    traits = [
        {
            "name": "reward",
            "kind": "sequence_classifier",
            "model": str(save_classifier(folder / "model")),
            "dtype": "float32",
            "template": "{response}",
            "normalisation": SIGMOID,
        },
        *(
            {
                "name": check,
                "kind": "verifier",
                "check": check,
                "normalisation": {"kind": "sigmoid"},
            }
            for check in ("length", "sentiment")
        ),
    ]
    config = {
        "address_file": str(address),
        "traits": traits,
        "threads": threads,
        "engine": {"max_queued_samples": QUEUE, "cached_outputs": 0},
        "limits": {"max_characters": 100_000},
    }
    file = folder / "scorer.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "palmfolio_scorer", "--config", str(file)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        wait_for(address.exists)
        where = address.read_text().strip()
        with palmfolio.Client(scorer=where) as client:
            wait_for(lambda: client.scorer.server_info().readiness.ready)
        yield where, server.pid, log
    finally:
        server.terminate()
        server.wait(60)


@contextlib.contextmanager
def probe(address: str, pid: int) -> Iterator[dict[str, Any]]:
    """Watches health and memory from another process; the dictionary is filled at the end."""
    command = [sys.executable, str(HERE / "load_probe.py"), address, str(pid)]
    timings: dict[str, Any] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        try:
            yield timings
        finally:
            answer, _ = running.communicate(b"")
            timings.update(json.loads(answer))


def expected_rewards(address: str, texts: list[str]) -> list[Expected]:
    """The table: every text scored in a request of its own."""
    table = []
    with palmfolio.Client(scorer=address) as client:
        for text in texts:
            sample = Sample("", text)
            table.append(Expected(sample, client.scorer.score([sample]).raw[0]))
    return table


def measured(prompts: Path, clients: int, seconds: float, threads: int) -> dict[str, Any]:
    """The whole run."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with scorer(folder, threads) as (address, pid, log):
            texts = mixed_length_texts(prompts, TEXTS, folder / "model")
            texts = [text[:CHARACTERS] for text in texts]  # still different: they are numbered
            table = expected_rewards(address, texts)
            machine_load = os.getloadavg()  # so far: what else the machine does
            with probe(address, pid) as watched:
                tally = asyncio.run(run_clients(address, table, clients, seconds))
            release_seconds = {
                way: [seconds_until_admitted(address, texts, way) for _ in range(_REPEATS)]
                for way in ("cancel", "kill")
            }
            refused = log.read_text().count("RESOURCE_EXHAUSTED")
    return {
        **report(tally),
        "refused": refused,
        **watched,
        "release_seconds": release_seconds,
        "machine_load": machine_load,
    }


def report(tally: Tally) -> dict[str, Any]:
    """The clients' part of the result."""
    return {
        "sent": tally.sent,
        "answered": tally.answered,
        "wrong": tally.wrong,
        "errors": tally.errors,
        "seconds": tally.seconds,
        "samples_per_second": tally.answered / tally.seconds,
        "longest_call": max(tally.call_seconds, default=0.0),
    }


def failures(result: dict[str, Any]) -> list[str]:
    """What the run did not reach."""
    worst = max(max(times) for times in result["release_seconds"].values())
    checks = {
        "a reward was lost or doubled": result["sent"] == result["answered"],
        "a reward was wrong": not result["wrong"],
        "a client failed": not result["errors"],
        "nothing was refused: there was no overload": result["refused"] > 0,
        "health was late": result["health_worst"] <= _HEALTH_SECONDS
        and not result["health_failed"],
        "queue capacity was free too late": worst <= _RELEASE_SECONDS,
    }
    return [failure for failure, passed in checks.items() if not passed]


def table_of(result: dict[str, Any], clients: int) -> str:
    """The result for people."""
    released = {way: f"{max(times):.3f} s" for way, times in result["release_seconds"].items()}
    rows = {
        "clients": clients,
        "others' load on this machine": " ".join(f"{load:.1f}" for load in result["machine_load"]),
        "seconds": f"{result['seconds']:.1f}",
        "samples sent / answered": f"{result['sent']} / {result['answered']}",
        "samples a second": f"{result['samples_per_second']:.1f}",
        "wrong rewards": len(result["wrong"]),
        "clients that failed": len(result["errors"]),
        "requests refused, then finished": result["refused"],
        "longest call, retries included": f"{result['longest_call']:.1f} s",
        "health answers": result["health_answers"],
        "worst health latency": (
            f"{1000 * result['health_worst']:.0f} ms, after {result['health_worst_at']:.0f} s"
        ),
        "99 % health latency": f"{1000 * result['health_99']:.0f} ms",
        "memory at start / most / end": " / ".join(
            f"{result[name] / 2**20:.0f} MiB" for name in ("rss_start", "rss_most", "rss_end")
        ),
        "capacity free after a cancel": released["cancel"],
        "capacity free after a kill": released["kill"],
    }
    return "\n".join(f"{name:34} {value}" for name, value in rows.items())


def main() -> None:
    """Runs the load and prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompts", type=Path, help='JSON lines with a "prompt" each')
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    start = time.monotonic()
    result = measured(arguments.prompts, arguments.clients, arguments.seconds, arguments.threads)
    missed = failures(result)
    if arguments.json:
        print(json.dumps({**result, "missed": missed}, indent=1))
    else:
        print(table_of(result, arguments.clients))
        for example in (*result["wrong"][:3], *result["errors"][:3], *missed):
            print(f"FAILED: {example}")
    print(f"the whole run took {time.monotonic() - start:.0f} s", file=sys.stderr)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
