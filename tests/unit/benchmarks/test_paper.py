"""The paper's benchmark on made-up pools: files survive, and no portfolio is better than PALM's."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from palmfolio_palm import certificate, uniform_lattice
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.catalogue.spec import parse_traits
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet
from palmfolio_scorer.traits.kind import TextTrait

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "benchmarks" / "paper"
SEEDS = range(8)


@pytest.fixture(name="modules", scope="module")
def _modules() -> Iterator[dict[str, ModuleType]]:
    """The benchmark's files, which import one another by bare names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield {name: importlib.import_module(name) for name in ("pool", "comparison", "table")}


def answers(pool: Any, seed: int, *, d: int = 3, noise: float = 0.2) -> list[Any]:
    """Answers of policies that lean to the weights they were trained at."""
    generator = np.random.default_rng(seed)
    rows = []
    for index, weights in enumerate(uniform_lattice(d, 3 if d == 3 else 6)):
        value = (weights + 0.05) ** 0.5
        value /= np.linalg.norm(value)
        for prompt in range(6):
            for sample in range(2):
                rewards = np.clip(value + generator.normal(0, noise, d), 0, 1)
                rows.append(
                    pool.Answer(
                        f"p{index}",
                        tuple(weights),
                        prompt,
                        sample,
                        tuple(np.round(rewards, 6)),
                        f'no "{index % 3}",\n{prompt} {generator.integers(4)}',
                    )
                )
    return rows


def written(pool: Any, path: Path, rows: list[Any], d: int = 3) -> Any:
    """The pool that these answers are."""
    pool.write(path, "abcdef"[:d], rows)
    return pool.read(path)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("d", [2, 3])
def test_palms_gap_is_the_smallest_at_every_size(
    modules: dict[str, ModuleType], tmp_path: Path, seed: int, d: int
) -> None:
    pool, comparison = modules["pool"], modules["comparison"]
    made = written(pool, tmp_path / "pool.csv", answers(pool, seed, d=d), d)
    values = made.values
    last = dict.fromkeys(comparison.OBJECTIVES, np.inf)
    for size in (1, 2, 4):
        found = comparison.compare(values, values, made.weights, size, SEEDS)
        for objective in comparison.OBJECTIVES:
            smallest = found[comparison.MINIMUM][objective]
            assert smallest <= min(row[objective] for row in found.values()) + 1e-9
            drawn = [comparison.draw(len(values), size, s) for s in SEEDS]
            assert all(smallest <= comparison.gaps(values, d)[objective] + 1e-9 for d in drawn)
            assert smallest <= last[objective] + 1e-9
            last[objective] = smallest


def test_greedy_keeps_to_the_size(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    pool, comparison = modules["pool"], modules["comparison"]
    values = written(pool, tmp_path / "pool.csv", answers(pool, 7)).values
    for size in (1, 3, 5):
        for objective in comparison.OBJECTIVES:
            assert 1 <= len(comparison.greedy(values, size, objective)) <= size


def test_a_portfolio_better_than_the_minimum_is_reported(modules: dict[str, ModuleType]) -> None:
    comparison = modules["comparison"]
    good, bad = ({"additive": gap, "multiplicative": gap} for gap in (0.1, 0.2))
    found = {comparison.MINIMUM: bad, comparison.GREEDY: bad, comparison.UNIFORM: good}
    with pytest.raises(AssertionError, match=r"size 3: PALM's smallest additive gap is 0\.2"):
        comparison.check(found, [good], 3)


def test_a_pool_survives_its_file(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    pool = modules["pool"]
    rows = answers(pool, 1)
    made = written(pool, tmp_path / "pool.csv", rows)
    assert made.traits == ("a", "b", "c") and made.dropped == 0
    assert made.rewards.shape == (10, 6, 3)
    first = [row for row in rows if row.policy == made.policies[0]]
    assert made.responses[0] == tuple(row.response for row in first)
    assert made.values[0] == pytest.approx(np.mean([row.rewards for row in first], axis=0))


def test_a_prompt_without_a_reward_is_left_out_for_all(
    modules: dict[str, ModuleType], tmp_path: Path
) -> None:
    pool = modules["pool"]
    rows = answers(pool, 2)
    spoilt = [
        pool.Answer(r.policy, r.weights, r.prompt, r.sample, (float("nan"), 0.5, 0.5), r.response)
        if r.policy == "p3" and r.prompt == 4 and r.sample == 1
        else r
        for r in rows
    ]
    made = written(pool, tmp_path / "pool.csv", spoilt)
    kept = written(pool, tmp_path / "kept.csv", [row for row in rows if row.prompt != 4])
    assert made.dropped == 1
    np.testing.assert_allclose(made.rewards, kept.rewards)
    assert made.responses == kept.responses


def test_policies_that_were_asked_differently_are_refused(
    modules: dict[str, ModuleType], tmp_path: Path
) -> None:
    pool = modules["pool"]
    for rows in (answers(pool, 3)[:-1], [*answers(pool, 3), answers(pool, 3)[0]]):
        with pytest.raises(ValueError, match="one answer for each prompt and sample"):
            written(pool, tmp_path / "pool.csv", rows)


def test_the_tables_are_printed(
    modules: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = modules["pool"]
    path = tmp_path / "pool.csv"
    made = written(pool, path, answers(pool, 5))
    options = ["--pool", str(path), "--sizes", "2", "--seeds", "3", "--halves", "2"]
    modules["table"].main(options)
    lines = capsys.readouterr().out.splitlines()
    assert "10 policies, 3 traits (a, b, c), 6 prompts" in lines[0]
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith(("| 1", "| 2"))]
    assert [row[0] for row in rows] == ["1", "2", "1", "2"]
    best = min(certificate(made.values, [p]).additive for p in range(10))
    assert rows[0][1] == f"{best:.4f}"


def test_the_pool_at_hand_holds_what_its_answers_are_worth(
    modules: dict[str, ModuleType],
) -> None:
    """The traits that need no reference give the answers the rewards that the file has."""
    made = modules["pool"].read(modules["table"].POOL)
    assert modules["table"].POOL.stat().st_size < 500_000
    assert len(made.policies) == 15 and made.rewards.shape == (15, 40, 3) and not made.dropped
    np.testing.assert_allclose(made.weights[::-1], uniform_lattice(3, 4)[::-1], atol=1e-9)
    traits = TraitSet(parse_traits((ROOT / "examples/rlvr-gsm/traits.yaml").read_text(), "traits"))
    traits.load(ModelStore("cpu"))
    for served in traits:
        trait = served.trait
        column = made.traits.index(served.name)
        if served.name == "correct" or not isinstance(trait, TextTrait):
            continue
        raw = [[trait.reward(Sample("", text)) for text in row] for row in made.responses]
        rewards = served.normalisation.apply(np.array(raw)).reshape(15, 40, 2).mean(axis=2)
        np.testing.assert_allclose(rewards, made.rewards[:, :, column], atol=1e-5)


def test_the_readme_has_the_table_of_the_pool_at_hand(modules: dict[str, ModuleType]) -> None:
    made = modules["pool"].read(modules["table"].POOL)
    comparison = modules["comparison"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = {
        cells[0]: cells[1:]
        for line in text.splitlines()
        if len(cells := line.strip("| ").split(" | ")) == 9
    }
    for size in (1, 3):
        found = comparison.compare(made.values, made.values, made.weights, size, range(1))
        columns = [(m, gap) for gap in comparison.OBJECTIVES for m in comparison.METHODS]
        shown = dict(zip(columns, rows[str(size)], strict=True))
        for method in (comparison.MINIMUM, comparison.UNIFORM):
            for gap in comparison.OBJECTIVES:
                assert shown[method, gap] == f"{found[method][gap]:.4f}"
