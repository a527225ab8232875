"""The time of every verifier on texts of the greatest length, of every kind.

    python benchmarks/scorer/verifiers.py
    python benchmarks/scorer/verifiers.py --characters 65536 --repeat 5

A table: check by kind of text, in milliseconds of one core, the best of some runs. The aim is 50 ms
for each: a text that a policy writes must not hold up the scorer. Times that grow faster than the
text show at a second length.
"""

import argparse
import contextlib
import time
from collections.abc import Iterable
from typing import Any

from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.kind import TextTrait
from palmfolio_scorer.traits.registry import make_trait

AIM = 50.0
"""Milliseconds."""

CHECKS: dict[str, dict[str, object]] = {
    "answer": {"check": "answer"},
    "answer, last": {"check": "answer", "response": "last"},
    "format, json": {"check": "format", "form": "json"},
    "format, schema": {
        "check": "format",
        "form": "json",
        "json_schema": {"type": "object", "required": ["name"]},
    },
    "format, regex": {
        "check": "format",
        "form": "regex",
        "match": "anywhere",
        "pattern": r"\n####\s*\d+\s*$",
    },
    "language": {"check": "language", "language": "en"},
    "length": {"check": "length"},
    "length, tokens": {"check": "length", "unit": "tokens"},
    "profanity": {"check": "profanity"},
    "readability": {"check": "readability"},
    "readability, Flesch": {"check": "readability", "formula": "flesch_kincaid_grade"},
    "sentiment": {"check": "sentiment"},
    "sentiment, mean": {"check": "sentiment", "aggregate": "mean_of_sentences"},
}

# Repeated up to the length: ordinary texts, and those that made a check slow once.
TEXTS = {
    "prose": "The quick brown fox jumps over the lazy dog, and nobody minds. ",
    "praise": "I love this wonderful day, but I hate the damn rain. ",
    "sums": "She sells 16 - 3 - 4 = 9 eggs for $1,234.50 each.\n",
    "one word": "a",
    "letters": "a b ",
    "digits": "1234567890",
    "groups": "1,234 567 ",
    "emoji": "😀",
    "brackets": "(",
    "braces": "{1}",
    "boxes": r"\boxed{",
    "marks": "#### 1",
    "lines": "\n",
    "short lines": "a\n",
    "dollars": "$1",
    "minus": "−",
    "Chinese": "我不知道。",
    "stretched": "fuuuck f*ck ",
    "spaces": " ",
    "tabs": "\t \n",
    "Arabic": "لا أعرف ذلك. ",
    "overrides": "\u202ea\u202c",
    "Thai": "ฉันไม่รู้",
    "accents": "e\u0301\u0323",
    "no width": "a\u200b",
    "flags": "🇩🇪",
    "families": "👩\u200d👩\u200d👧 ",
    "apostrophes": "don't 'tis ",
    "hyphens": "a-",
    "stops": "a. b! c? ",
    "fractions": r"\frac{1}{",
    "powers": "2^",
    "stars": "s*",
    "quotes": '"\\',
    "lists": "[1,",
    "capitals": "NOT GREAT!!! ",
    "NUL": "\0",
}


def milliseconds(trait: TextTrait[Any], text: str, repeat: int) -> float:
    """The least processor time of some runs: other programs on the machine do not count."""
    sample, times = Sample("prompt", text, "#### 18"), []
    for _ in range(repeat):
        start = time.thread_time()
        # A sample that cannot be scored must be found out as fast.
        with contextlib.suppress(SampleError):
            trait.reward(sample)
        times.append(time.thread_time() - start)
    return 1000 * min(times)


def table(rows: Iterable[list[str]]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(TEXTS) + "|---|", *body])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--characters", type=int, default=32_768)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    rows, slow = [["ms", *TEXTS]], []
    for name, options in CHECKS.items():
        trait = make_trait("verifier", options)
        assert isinstance(trait, TextTrait)
        trait.load(ModelStore("cpu"))
        trait.reward(Sample("prompt", "This is a first sentence of 18 words. {}", "#### 18"))
        row = [name]
        for kind, unit in TEXTS.items():
            text = (unit * arguments.characters)[: arguments.characters]
            taken = milliseconds(trait, text, arguments.repeat)
            row.append(f"{taken:.1f}")
            if taken > AIM:
                slow.append(f"{name} on {kind}: {taken:.0f} ms")
        rows.append(row)
    print(f"{arguments.characters} characters, best of {arguments.repeat}\n\n{table(rows)}\n")
    print("\n".join(slow) or f"each under {AIM:.0f} ms")


if __name__ == "__main__":
    main()
