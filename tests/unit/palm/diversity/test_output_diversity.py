from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from palmfolio_palm import (
    cosine_distances,
    distinct_n,
    mean_distance,
    output_diversity,
    self_bleu,
    words,
)

WORDS = [
    "the",
    "a",
    "salt",
    "butter",
    "and",
    "stir",
    ".",
    ",",
    "Yes",
    "ÉTÉ",
    "東京",
    "don't",
    "3.5",
]
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
TEXTS = st.one_of(SENTENCES, st.text(max_size=30))
GROUPS = st.integers(1, 4).flatmap(
    lambda size: st.lists(st.lists(TEXTS, min_size=size, max_size=size), min_size=1, max_size=4)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop!", ("don", "'", "t", "stop", "!")),
        ("STRASSE straße", ("strasse", "strasse")),
        ("cafe\u0301 CAFÉ", ("café", "café")),
        ("हिन्दी में", ("हिन्दी", "में")),
        ("東京は雨", ("東", "京", "は", "雨")),
        ("東京2026", ("東", "京", "2026")),
        ("ภาษา", ("ภ", "า", "ษ", "า")),
        ("snake_case x2", ("snake_case", "x2")),
        ("a\u2028b\u0085c\x0bd\te", ("a", "b", "c", "d", "e")),
        ("👍🏽 ok", ("👍", "🏽", "ok")),
        ("#### 1/3", ("#", "#", "#", "#", "1", "/", "3")),
        ("", ()),
        (" \n\t ", ()),
    ],
)
def test_words(text: str, expected: tuple[str, ...]) -> None:
    assert words(text) == expected


@given(TEXTS)
def test_words_survive_being_joined_by_spaces(text: str) -> None:
    """BLEU gets the words so; a word with a space inside would count as two."""
    found = words(text)
    assert tuple(" ".join(found).split()) == found
    assert all(found)


@given(GROUPS, st.randoms(use_true_random=False))
def test_order_does_not_matter(groups: list[list[str]], chance: random.Random) -> None:
    """Neither the members' order nor the prompts', to the last bit."""
    members = list(range(len(groups[0])))
    chance.shuffle(members)
    shuffled = [[group[member] for member in members] for group in groups]
    chance.shuffle(shuffled)
    assert output_diversity(shuffled) == output_diversity(groups)


@given(GROUPS)
def test_bounds(groups: list[list[str]]) -> None:
    figures = output_diversity(groups)
    assert all(share is None or 0.0 < share <= 1.0 for share in figures.distinct)
    assert (figures.self_bleu is None) == (len(groups[0]) == 1)
    assert figures.self_bleu is None or 0.0 <= figures.self_bleu <= 1.0
    assert figures.groups == len(groups)


@given(TEXTS, st.integers(2, 5))
def test_the_same_answers_are_not_diverse(text: str, size: int) -> None:
    """Each copy repeats every n-gram of the first, and BLEU finds each answer in the others."""
    figures = output_diversity([[text] * size])
    assert figures.self_bleu == 1.0
    for n, share in enumerate(figures.distinct, 1):
        single = distinct_n([text], n)
        assert (share is None) == (single is None)
        assert share is None or share == pytest.approx((single or 0.0) / size)


@given(st.lists(TEXTS, min_size=1, max_size=4), TEXTS)
def test_a_repeated_answer_never_raises_distinctness(answers: list[str], text: str) -> None:
    repeated = [*answers, text, text]
    for n in (1, 2):
        once, twice = distinct_n([*answers, text], n), distinct_n(repeated, n)
        assert once is None or (twice is not None and twice <= once)


@given(st.lists(SENTENCES, min_size=2, max_size=4))
def test_self_bleu_is_the_librarys(answers: list[str]) -> None:
    """Against sacrebleu's own call, where no answer is repeated or empty."""
    lines = [" ".join(words(answer)) for answer in answers]
    if len(set(lines)) < len(lines) or not all(lines):
        return
    bleu = BLEU(tokenize="none", effective_order=True)
    scores = [
        bleu.sentence_score(line, [other for other in lines if other != line]).score / 100
        for line in lines
    ]
    assert self_bleu(answers) == pytest.approx(math.fsum(scores) / len(scores), abs=1e-12)


def test_disjoint_answers_are_as_diverse_as_can_be() -> None:
    figures = output_diversity([["one two three four five", "six seven eight nine ten"]])
    assert figures.distinct == (1.0, 1.0, 1.0, 1.0)
    assert figures.self_bleu is not None and figures.self_bleu < 0.15


@pytest.mark.parametrize(
    ("answers", "expected"),
    [(["", ""], 1.0), (["", "words here"], 0.0), (["?", "?", "?"], 1.0), (["only one"], None)],
)
def test_self_bleu_of_answers_with_little_in_them(
    answers: list[str], expected: float | None
) -> None:
    assert self_bleu(answers) == expected


def test_distinct_n_counts_by_hand() -> None:
    answers = ["the cat sat", "the cat ran"]
    assert distinct_n(answers, 1) == 4 / 6
    assert distinct_n(answers, 2) == 3 / 4
    assert distinct_n(answers, 3) == 1.0
    assert distinct_n(answers, 4) is None
    with pytest.raises(ValueError, match="n must be at least 1"):
        distinct_n(answers, 0)


@pytest.mark.parametrize("groups", [[], [[]], [["a"], ["a", "b"]]])
def test_groups_of_no_common_size_are_refused(groups: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="groups must hold one answer of each member"):
        output_diversity(groups)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 10_000), st.sampled_from([1, 1e-200]))
def test_cosine_distances(size: int, width: int, seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(size, width)) * scale
    rows[-1] = rows[0]
    distances = cosine_distances(rows)
    assert (distances == distances.T).all() and distances[0, -1] == 0.0
    assert (np.diag(distances) == 0.0).all()
    assert ((distances >= 0.0) & (distances <= 2.0)).all()
    # Lengths do not count.
    longer = rows * generator.uniform(0.5, 2.0, size=(size, 1))
    assert np.allclose(cosine_distances(longer), distances, atol=1e-12)


def test_cosine_distances_of_known_embeddings() -> None:
    assert cosine_distances([[1, 0], [-3, 0]]).tolist() == [[0, 2], [2, 0]]
    assert math.isnan(cosine_distances([[1, 0], [0, 0]])[0, 1])
    with pytest.raises(ValueError, match="embeddings must be finite"):
        cosine_distances([[1.0, math.nan]])


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 10_000))
def test_mean_distance_needs_no_order(groups: int, size: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    D = np.array([cosine_distances(generator.normal(size=(size, 3))) for _ in range(groups)])
    members, prompts = generator.permutation(size), generator.permutation(groups)
    mean = mean_distance(D)
    assert mean_distance(D[prompts][:, members][:, :, members]) == mean
    assert (mean is None) == (size == 1)
    assert mean is None or 0.0 <= mean <= 2.0


def test_mean_distance_leaves_out_what_is_not_known() -> None:
    nan = math.nan
    known, unknown = [[0, 0.5], [0.5, 0]], [[0, nan], [nan, 0]]
    assert mean_distance([known, unknown]) == 0.5
    assert mean_distance([unknown]) is None
    with pytest.raises(ValueError, match=r"\(G, k, k\)"):
        mean_distance([[0.0, 1.0]])
