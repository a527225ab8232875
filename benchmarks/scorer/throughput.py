"""Texts scored a second by one sequence classifier, ours and others', in one run.

    python benchmarks/scorer/throughput.py PROMPTS.jsonl [--count 256] [--threads 2] [--rounds 3]

Everyone scores the same texts of mixed lengths (`workload.py`) with the same model, in float32 and
with the same number of threads. The contenders take turns, round after round, so that what else
the machine does hits all alike; the figure is the median of the rounds. What is not installed is
left out: `fastapi` and `uvicorn` for the plain server; for infinity-emb, which needs another
Transformers, `--infinity PYTHON` names the interpreter of its own environment.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import torch
import yaml
from transformers import pipeline
from workload import LONGEST, mixed_length_texts, save_classifier

from palmfolio.v1 import scorer_pb2, scorer_pb2_grpc, types_pb2
from palmfolio_scorer.engine import Engine, EngineSettings
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.catalogue.spec import TraitSpec
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet

HERE = Path(__file__).parent
TRAIT = {
    "name": "reward",
    "kind": "sequence_classifier",
    "template": "{response}",
    "normalisation": {"kind": "sigmoid"},
}
MAX_CHARACTERS = 100_000
_CONCURRENT = 64  # requests at once, for servers that take one text a request


def pipelines(folder: Path, texts: list[str]) -> dict[str, Callable[[], object]]:
    """Transformers' pipeline at three batch sizes."""
    classify = pipeline("text-classification", model=str(folder), device="cpu")

    def run(size: int) -> Callable[[], object]:
        return lambda: classify(texts, batch_size=size, truncation=True, max_length=LONGEST)

    return {f"pipeline, batch {size}": run(size) for size in (1, 8, 32)}


def in_process(folder: Path, texts: list[str], dtype: str) -> Callable[[], object]:
    """Our engine, called in this process; its cache is off."""
    spec = TraitSpec.model_validate(TRAIT | {"model": str(folder), "dtype": dtype})
    traits, models = TraitSet([spec]), ModelStore("cpu")
    traits.load(models)
    samples = [Sample("", text) for text in texts]

    async def score() -> None:
        engine = Engine(EngineSettings(cached_outputs=0), MAX_CHARACTERS)
        engine.start(models)
        table = await engine.score(samples, list(traits))
        await engine.stop()
        if table.failures:
            raise RuntimeError(next(iter(table.failures.values())).message)

    return lambda: asyncio.run(score())


@contextlib.contextmanager
def process(command: list[str], threads: int) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server for as long as the block lasts."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet)
    try:
        yield server
    finally:
        server.terminate()
        server.wait(30)


@contextlib.contextmanager
def over_grpc(folder: Path, texts: list[str], threads: int) -> Iterator[Callable[[], object]]:
    """Our service in a process of its own, called over a socket; its cache is off."""
    address = folder.parent / "address"
    config = {
        "address_file": str(address),
        "traits": [TRAIT | {"model": str(folder), "dtype": "float32"}],
        "threads": threads,
        "engine": {"cached_outputs": 0},
        "limits": {"max_characters": MAX_CHARACTERS},
    }
    file = folder.parent / "scorer.yaml"
    file.write_text(yaml.safe_dump(config))
    with process([sys.executable, "-m", "palmfolio_scorer", "--config", str(file)], threads):
        wait_for(address.exists)
        with grpc.insecure_channel(address.read_text().strip()) as channel:
            stub = scorer_pb2_grpc.ScorerStub(channel)
            info = types_pb2.GetServerInfoRequest()
            wait_for(lambda: stub.GetServerInfo(info).readiness.ready)
            samples = [scorer_pb2.Sample(response=text) for text in texts]
            yield lambda: stub.Score(scorer_pb2.ScoreRequest(samples=samples))


@contextlib.contextmanager
def over_http(
    command: list[str], url: str, body: Callable[[str], object], texts: list[str], threads: int
) -> Iterator[Callable[[], object]]:
    """A server that takes one text a request, with many requests at once."""
    from concurrent.futures import ThreadPoolExecutor

    def post(text: str) -> bytes:
        data = json.dumps(body(text)).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as response:
            answer: bytes = response.read()
        return answer

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return bool(post("hello"))
        return False

    with process(command, threads), ThreadPoolExecutor(_CONCURRENT) as pool:
        wait_for(answers)
        yield lambda: list(pool.map(post, texts))


def wait_for(condition: Callable[[], bool], seconds: float = 180) -> None:
    """Returns once the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("a server did not start")
        time.sleep(0.2)


def measured(
    contenders: dict[str, Callable[[], object]], count: int, rounds: int, threads: int
) -> dict[str, float]:
    """Texts a second per contender: the median over the rounds."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, run in contenders.items():
            torch.set_num_threads(threads)  # the one before may have left another number
            start = time.perf_counter()
            run()
            rates[name].append(count / (time.perf_counter() - start))
            print(f"round {number + 1}: {name}: {rates[name][-1]:.1f}/s", file=sys.stderr)
    return {name: statistics.median(values) for name, values in rates.items()}


def main() -> None:
    """Runs the benchmark and prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompts", type=Path, help='JSON lines with a "prompt" each')
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--infinity", type=Path, help="Python with infinity-emb installed")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = save_classifier(Path(temporary) / "model")
        texts = mixed_length_texts(arguments.prompts, arguments.count, folder)
        contenders = pipelines(folder, texts)
        plain_server = stack.enter_context(plain(folder, texts, arguments.threads))
        if plain_server:
            contenders["plain FastAPI server"] = plain_server
        if arguments.infinity:
            contenders["infinity-emb"] = stack.enter_context(
                infinity(arguments.infinity, folder, texts, arguments.threads)
            )
        contenders["ours, in process"] = in_process(folder, texts, "float32")
        contenders["ours, bfloat16"] = in_process(folder, texts, "bfloat16")
        contenders["ours, over gRPC"] = stack.enter_context(
            over_grpc(folder, texts, arguments.threads)
        )
        rates = measured(contenders, arguments.count, arguments.rounds, arguments.threads)
    if arguments.json:
        print(json.dumps(rates, indent=1))
    else:
        best = max(rate for name, rate in rates.items() if name.startswith("pipeline"))
        for name, rate in rates.items():
            print(f"{name:24} {rate:8.1f} texts/s  {rate / best:5.2f} x the pipeline's best")


@contextlib.contextmanager
def plain(folder: Path, texts: list[str], threads: int) -> Iterator[Callable[[], object] | None]:
    """The plain server of `plain_server.py`, or None where FastAPI is not installed."""
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        yield None
        return
    command = [sys.executable, str(HERE / "plain_server.py"), str(folder), "18471", str(threads)]
    url = "http://127.0.0.1:18471/score"
    with over_http(command, url, lambda text: {"text": text}, texts, threads) as run:
        yield run


@contextlib.contextmanager
def infinity(
    python: Path, folder: Path, texts: list[str], threads: int
) -> Iterator[Callable[[], object]]:
    """infinity-emb's server, on its torch engine.

    It takes a classifier of one logit for a reranker, so each text comes with a query of one token.
    """
    options = {"--model-id": str(folder), "--port": "18472", "--device": "cpu", "--engine": "torch"}
    command = [
        str(python.parent / "infinity_emb"),
        "v2",
        "--no-model-warmup",
        "--no-bettertransformer",
    ]
    command += [part for option in options.items() for part in option]
    url = "http://127.0.0.1:18472/rerank"

    def body(text: str) -> object:
        return {"model": folder.name, "query": ".", "documents": [text], "raw_scores": True}

    with over_http(command, url, body, texts, threads) as run:
        yield run


if __name__ == "__main__":
    main()
