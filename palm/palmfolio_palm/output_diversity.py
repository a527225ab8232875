"""How different the answers of a portfolio's members to the same prompt are.

Source: docs/algorithms.md, section 9. A *group* holds one answer of each member to one prompt.
Every figure is a mean over groups, so the order of members and of prompts does not matter. Words
and self-BLEU need sacrebleu (`pip install 'palmfolio[selector]'`), imported when first used.
"""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.validation import FloatArray

ORDERS = (1, 2, 3, 4)
"""The lengths n of the word sequences that `DiversityFigures.distinct` counts."""

# Scripts that put no space between words: each letter counts as a word.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = rf"(?V1)[{_UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]+|[\p{{P}}\p{{S}}]"


@dataclass(frozen=True)
class DiversityFigures:
    """How different the answers of one portfolio are.

    Attributes:
        distinct: distinct-n for each n of `ORDERS`, in (0, 1]: the share of different n-grams among
            all n-grams of a group, as a mean over the groups that have any. None without any.
        self_bleu: BLEU of each answer with the others of its group as references, in [0, 1], as a
            mean over answers and groups; 1 when all answers are the same. None for one member.
        groups: the groups that the figures are means over.

    Example:
        >>> output_diversity([["Yes.", "Yes."], ["Use salt.", "Add some butter!"]]).groups
        2
    """

    distinct: tuple[float | None, ...]
    self_bleu: float | None
    groups: int


def words(text: str) -> tuple[str, ...]:
    """The words of a text, case-folded, in Unicode's form NFC.

    A word is a run of letters, marks, digits and underscores. Every other punctuation mark or
    symbol counts as a word, and so does every letter of scripts without spaces between words
    (Chinese, Japanese, Thai, Lao, Khmer, Burmese).

    Example:
        >>> words("Don't stop: 東京!")
        ('don', "'", 't', 'stop', ':', '東', '京', '!')
    """
    folded = unicodedata.normalize("NFC", text).casefold()
    return tuple(_pattern().findall(folded))


def distinct_n(answers: Sequence[str], n: int) -> float | None:
    """The share of different n-grams of words among all n-grams of a group's answers, in (0, 1].

    N-grams do not reach from one answer into the next. None when no answer has n words.

    Raises:
        ValueError: n is less than 1.

    Example:
        >>> distinct_n(["a good day", "a bad day"], 1)
        0.6666666666666666
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return _distinct([words(answer) for answer in answers], n)


def self_bleu(answers: Sequence[str]) -> float | None:
    """BLEU of each answer against the others of its group, in [0, 1], as a mean; None for one.

    sacrebleu's sentence BLEU over `words`: up to 4-grams, of shorter answers as far as they reach,
    with exponential smoothing. An answer that another one repeats has 1, also when both are empty.

    Example:
        >>> self_bleu(["a good day", "a good day"]), self_bleu(["one two", "three four"]) < 0.2
        (1.0, True)
    """
    return _self_bleu([words(answer) for answer in answers])


def output_diversity(groups: Sequence[Sequence[str]]) -> DiversityFigures:
    """The figures of a portfolio.

    Args:
        groups: the answers of the members by prompt, as many in each group.

    Raises:
        ValueError: there is no group, a group is empty, or groups have different sizes.

    Example:
        >>> figures = output_diversity([["Use salt.", "Use salt."], ["Boil it.", "Fry the fish."]])
        >>> [round(share, 3) for share in figures.distinct], round(figures.self_bleu, 3)
        ([0.679, 0.75, 0.75, 1.0], 0.589)
    """
    _check_groups(groups)
    texts = {answer for group in groups for answer in group}
    known = {text: words(text) for text in texts}
    split = [[known[answer] for answer in group] for group in groups]
    return DiversityFigures(
        distinct=tuple(_mean([_distinct(group, n) for group in split]) for n in ORDERS),
        self_bleu=_mean([_self_bleu(group) for group in split]),
        groups=len(split),
    )


def cosine_distances(embeddings: ArrayLike) -> FloatArray:
    """1 − cosine of every two rows of (k, e) embeddings, as a symmetric (k, k) array in [0, 2].

    Equal rows have the distance 0. A row of zeros has no direction: NaN, except to itself.

    Raises:
        ValueError: the embeddings are not a finite, non-empty (k, e) array.

    Example:
        >>> cosine_distances([[1.0, 0.0], [0.0, 2.0]]).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    if rows.ndim != 2 or 0 in rows.shape or not np.isfinite(rows).all():
        raise ValueError(f"embeddings must be finite and of shape (k, e), got shape {rows.shape}")
    # By the largest entry first: squares of very large or very small ones leave the range.
    largest = np.abs(rows).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        scaled = rows / np.where(largest > 0, largest, np.nan)
        units = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
        distances: FloatArray = np.clip(1.0 - units @ units.T, 0.0, 2.0)
    same = (rows[:, None, :] == rows[None, :, :]).all(axis=2)
    distances[same] = 0.0
    return distances


def mean_distance(distances: ArrayLike) -> float | None:
    """The mean distance of two members' answers, over pairs of members and groups.

    Args:
        distances: (G, k, k), symmetric in its last axes; NaN where a distance is not known.

    Returns:
        The mean over groups of each group's mean; None when no distance is known, as for one
        member.

    Raises:
        ValueError: the array has another shape.

    Example:
        >>> mean_distance([[[0.0, 0.4], [0.4, 0.0]], [[0.0, 0.2], [0.2, 0.0]]])
        0.30000000000000004
    """
    array = np.asarray(distances, dtype=np.float64)
    if array.ndim != 3 or array.shape[1] != array.shape[2]:
        raise ValueError(f"distances must be of shape (G, k, k), got {array.shape}")
    above = np.triu_indices(array.shape[1], 1)
    pairs = array[:, above[0], above[1]]
    return _mean([_mean([x for x in group if math.isfinite(x)]) for group in pairs.tolist()])


def _check_groups(groups: Sequence[Sequence[str]]) -> None:
    sizes = {len(group) for group in groups}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            "groups must hold one answer of each member to each prompt, as many in each group; "
            f"got groups of {sorted(sizes)} answers"
        )


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are known, whatever their order; None without any."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _distinct(group: Sequence[tuple[str, ...]], n: int) -> float | None:
    grams = [answer[start : start + n] for answer in group for start in range(len(answer) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def _self_bleu(group: Sequence[tuple[str, ...]]) -> float | None:
    if len(group) < 2:
        return None
    # Sorted, so that equal groups give equal numbers to the last bit.
    answers = sorted(group)
    return _mean(
        [_bleu(answer, [*answers[:i], *answers[i + 1 :]]) for i, answer in enumerate(answers)]
    )


def _bleu(answer: tuple[str, ...], references: Sequence[tuple[str, ...]]) -> float:
    if answer in references:
        return 1.0
    if not answer:
        return 0.0
    score = _sentence_bleu()(" ".join(answer), [" ".join(reference) for reference in references])
    return min(max(score / 100.0, 0.0), 1.0)


@functools.cache
def _pattern() -> Any:
    # `re` knows neither scripts nor marks.
    import regex  # type: ignore[import-untyped]

    return regex.compile(_WORD)


@functools.cache
def _sentence_bleu() -> Callable[[str, Sequence[str]], float]:
    from sacrebleu.metrics.bleu import BLEU

    # The words are given, so that distinct-n and BLEU count the same.
    metric = BLEU(tokenize="none", smooth_method="exp", max_ngram_order=4, effective_order=True)
    return lambda answer, references: metric.sentence_score(answer, references).score
