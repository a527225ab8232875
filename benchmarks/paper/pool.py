"""A pool: policies with the weights they were trained at, their answers, and the answers' rewards.

A CSV file has a row for each answer, with the columns

    policy, weight.TRAIT …, prompt, sample, TRAIT …, response

where `prompt` and `sample` are numbers, and a reward that could not be computed is empty.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_WEIGHT = "weight."
_OTHERS = ("policy", "prompt", "sample", "response")


@dataclass(frozen=True, slots=True)
class Answer:
    """A row of the file."""

    policy: str
    weights: tuple[float, ...]
    prompt: int
    sample: int
    rewards: tuple[float, ...]
    """NaN where a trait gave none."""
    response: str


@dataclass(frozen=True, eq=False)
class Pool:
    """Policies that were all asked the same prompts.

    Attributes:
        traits: their names.
        policies: their names, in the order of the rows of the arrays.
        weights: (n, d) weights that they were trained at, Σ = 1.
        rewards: (n, N, d) mean reward of each policy on each prompt, on the prompts for which every
            answer has every reward.
        responses: (n, N·samples) answers, those to equal prompts in the same columns.
        dropped: prompts that were left out.
    """

    traits: tuple[str, ...]
    policies: tuple[str, ...]
    weights: Floats
    rewards: Floats
    responses: tuple[tuple[str, ...], ...]
    dropped: int

    @property
    def values(self) -> Floats:
        """(n, d) mean reward of each policy over the prompts."""
        means: Floats = self.rewards.mean(axis=1)
        return means


def write(path: Path, traits: Iterable[str], answers: Iterable[Answer]) -> None:
    """Writes the file."""
    traits = list(traits)
    header = ["policy", *(f"{_WEIGHT}{trait}" for trait in traits), "prompt", "sample", *traits]
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow([*header, "response"])
        for each in answers:
            numbers = ["" if math.isnan(x) else f"{x:.6g}" for x in (*each.weights, *each.rewards)]
            weights, rewards = numbers[: len(traits)], numbers[len(traits) :]
            start = [each.policy, *weights, each.prompt, each.sample]
            rows.writerow([*start, *rewards, each.response])


def read(path: Path) -> Pool:
    """Reads the file.

    Raises:
        ValueError: a column is missing, or the policies were not asked the same prompts as often.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or ())
        traits = tuple(c.removeprefix(_WEIGHT) for c in columns if c.startswith(_WEIGHT))
        missing = {*_OTHERS, *traits} - set(columns)
        if missing or not traits:
            raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing)) or 'weight.*'}")
        answers = [_answer(row, traits) for row in reader]
    return _pool(traits, answers)


def _answer(row: dict[str, str], traits: tuple[str, ...]) -> Answer:
    return Answer(
        policy=row["policy"],
        weights=tuple(float(row[f"{_WEIGHT}{trait}"]) for trait in traits),
        prompt=int(row["prompt"]),
        sample=int(row["sample"]),
        rewards=tuple(float(row[trait] or "nan") for trait in traits),
        response=row["response"],
    )


def _pool(traits: tuple[str, ...], answers: list[Answer]) -> Pool:
    weights = {each.policy: each.weights for each in answers}
    found = {(each.policy, each.prompt, each.sample): each for each in answers}
    prompts = sorted({each.prompt for each in answers})
    samples = sorted({each.sample for each in answers})
    if len(found) != len(weights) * len(prompts) * len(samples) or len(found) != len(answers):
        raise ValueError("every policy must have one answer for each prompt and sample")
    rewards = np.array(
        [[[found[p, q, s].rewards for s in samples] for q in prompts] for p in weights]
    )
    scored = ~np.isnan(rewards).any(axis=(0, 2, 3))
    if not scored.any():
        raise ValueError("there is no prompt for which every answer has every reward")
    return Pool(
        traits=traits,
        policies=tuple(weights),
        weights=np.array(list(weights.values())),
        rewards=rewards.mean(axis=2)[:, scored],
        responses=tuple(
            tuple(found[p, q, s].response for q in np.array(prompts)[scored] for s in samples)
            for p in weights
        ),
        dropped=int((~scored).sum()),
    )
