"""Makes a pool: trains a policy at every weight of a uniform lattice, and measures its answers.

    python benchmarks/paper/measure.py examples/rlvr-gsm --resolution 4

Starts the services of the example's `services.yaml`, builds a portfolio from its `portfolio.yaml`
with the lattice as its strategy, and writes every answer with its rewards. What exists is not made
again: after an interruption the same command goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from pool import Answer, write

import palmfolio
from palmfolio.cli.files.portfolio_spec import PortfolioFile, load_portfolio
from palmfolio.cli.local.processes import Stack, run_until_signalled, supervised
from palmfolio.cli.local.readiness import wait_until_ready


def main() -> None:
    """Reads the command line and makes the pool."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("example", type=Path, help="a folder of examples/")
    parser.add_argument("--resolution", type=int, default=4, help="of the lattice of weights")
    parser.add_argument("--output", type=Path, help="a CSV file; default: the example's name")
    parser.add_argument("--endpoints", help="services that run already, instead of new ones")
    given = parser.parse_args()
    output = given.output or Path(f"{given.example.name}.csv")
    wanted = load_portfolio(given.example / "portfolio.yaml")
    if given.endpoints:
        make(given.endpoints, wanted, given.resolution, output)
        return
    config = yaml.safe_load((given.example / "services.yaml").read_text(encoding="utf-8"))
    stack = Stack(given.example, config)

    async def work() -> None:
        async with stack:
            await stack.start(_tell)
            await supervised(stack, wait_until_ready(stack.addresses, _tell))
            endpoints = str(stack.endpoints_file)
            building = asyncio.to_thread(make, endpoints, wanted, given.resolution, output)
            await supervised(stack, building)

    if number := run_until_signalled(stack, work):
        raise SystemExit(128 + number)


def make(endpoints: str, wanted: PortfolioFile, resolution: int, output: Path) -> None:
    """Builds the pool and writes it.

    Args:
        endpoints: file with the services' addresses.
        wanted: the example.
        resolution: of the lattice.
        output: the CSV file.
    """
    with palmfolio.Client(endpoints) as client:
        training = client.selector.create_prompt_set(wanted.training_prompts)
        evaluation = client.selector.create_prompt_set(wanted.evaluation_prompts)
        spec = dataclasses.replace(
            wanted.with_prompt_sets(training.name, evaluation.name),
            strategy=palmfolio.UniformStrategy(resolution),
            max_size=None,
            max_trainings=None,
        )
        operation = client.selector.build_portfolio(f"{wanted.portfolio_id}-pool", spec)
        for event in operation.events():
            print(f"[{event.candidates_done}/{event.candidates_total}] {event.message}", flush=True)
        portfolio = operation.result()
        answers = [*_answers(client, portfolio, wanted)]
    write(output, portfolio.spec.traits, answers)
    print(f"{output}: {len(answers)} answers")


def _answers(
    client: palmfolio.Client, portfolio: palmfolio.Portfolio, wanted: PortfolioFile
) -> Iterator[Answer]:
    """The answers of one policy for each weights of the lattice."""
    traits = portfolio.spec.traits
    # How many answers there are is no part of how each was sampled.
    sampling = dataclasses.replace(portfolio.spec.sampling, samples_per_prompt=None)
    samples = portfolio.spec.sampling.samples_per_prompt or 1
    numbers = {_key(prompt): number for number, prompt in enumerate(wanted.evaluation_prompts)}
    for weights, candidate in sorted(_best_by_weights(portfolio).items(), reverse=True):
        rewards: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
        responses: dict[tuple[int, int], str] = {}
        for row in client.selector.list_evaluations(policy=candidate.policy):
            number = numbers.get(_key(row.prompt)) if row.prompt else None
            # Another build may have measured other traits, or answers that were sampled otherwise.
            same = row.trait_version == portfolio.trait_versions.get(row.trait)
            if number is None or not same or row.sampling != sampling or row.sample >= samples:
                continue
            rewards[number, row.sample][row.trait] = row.normalised
            responses[number, row.sample] = row.response
        name = candidate.policy.removeprefix("policies/")
        for number, sample in sorted(rewards):
            values = tuple(rewards[number, sample].get(trait, float("nan")) for trait in traits)
            yield Answer(name, weights, number, sample, values, responses[number, sample])


def _best_by_weights(
    portfolio: palmfolio.Portfolio,
) -> dict[tuple[float, ...], palmfolio.Candidate]:
    """The trained policies. A build trains again where another policy turned out to be better at a
    policy's own weights; the better of the two is taken.
    """
    found: dict[tuple[float, ...], palmfolio.Candidate] = {}
    for each in portfolio.candidates:
        if each.weights is None:  # the base model
            continue
        weights = _row(each.weights, portfolio.spec.traits)

        def utility(candidate: palmfolio.Candidate, at: tuple[float, ...] = weights) -> float:
            values = _row(candidate.value, portfolio.spec.traits)
            return sum(share * value for share, value in zip(at, values, strict=True))

        if weights not in found or utility(each) > utility(found[weights]):
            found[weights] = each
    return found


def _tell(service: str, news: str) -> None:
    print(f"{service}: {news}", flush=True)


def _key(prompt: palmfolio.Prompt) -> tuple[object, ...]:
    """What tells prompts apart: tags do not."""
    return prompt.text, prompt.messages, prompt.reference


def _row(values: Mapping[str, float], traits: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(values.get(trait, 0.0) for trait in traits)


if __name__ == "__main__":
    main()
