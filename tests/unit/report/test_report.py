"""The report: exact maps, nothing loaded from elsewhere, and the data file's format."""

import dataclasses
import io
import itertools
import json
import random
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import palmfolio
import palmfolio_palm as palm
from palmfolio.cli.render import tables
from palmfolio.report import Answer, Report, User, render, summary
from palmfolio.report.figures import geometry, line, slices, triangle

TRAITS = ("relevance", "brevity", "warmth", "clarity")


def _portfolio(d: int, **changes: Any) -> palmfolio.Portfolio:
    """Three members that are each best at one trait, a base model, and a rejected policy."""
    traits = TRAITS[:d]

    def candidate(name: str, high: int | None, selected: bool) -> palmfolio.Candidate:
        value = {trait: 0.9 if index == high else 0.4 for index, trait in enumerate(traits)}
        weights = {trait: 1.0 if index == high else 0.0 for index, trait in enumerate(traits)}
        return palmfolio.Candidate(
            policy=f"policies/{name}",
            weights=None if high is None else weights,
            value=value,
            adapter="" if high is None else f"file:///adapters/{name}",
            selected=selected,
            is_base_model=high is None,
        )

    candidates = (
        candidate("aaaa", 0, True),
        candidate("bbbb", 1, True),
        candidate("base", None, False),
        candidate("cccc", d - 1, False),
    )
    worst = {trait: float(index == d - 1) for index, trait in enumerate(traits)}
    gap = 0.5 if d > 2 else 0.0
    content: dict[str, Any] = {
        "name": "portfolios/tiny",
        "spec": palmfolio.PortfolioSpec(
            "base", traits, "", "", palmfolio.AdaptiveStrategy(), delta=0.05
        ),
        "state": palmfolio.PortfolioState.READY,
        "candidates": candidates,
        "certificate": palmfolio.Certificate(
            gap,
            0.56,
            worst,
            0.0,
            0.05,
            gap,
            worst,
            corner_weights=7,
            multiplicative_gap=0.625,
            method="corners",
            confirmed=True,
        ),
        "baselines": palmfolio.Baselines(0.6, 0.55, "policies/aaaa"),
    }
    return palmfolio.Portfolio(**{**content, **changes})


def _report(d: int, **changes: Any) -> Report:
    answers = (Answer("What is <b>rain</b>?", "Water & air.", {"relevance": 0.8}),)
    users = (User("wants relevance", {"relevance": 1.0}, "policies/aaaa", answers),)
    return Report(_portfolio(d, **changes), users, {"training": 61.0, "total": 75.25})


def _random_values(count: int, seed: int) -> list[tuple[float, ...]]:
    source = random.Random(seed)
    return [tuple(source.random() for _ in range(3)) for _ in range(count)]


def _random_weights(count: int, seed: int) -> list[tuple[float, ...]]:
    source = random.Random(seed)
    rows = [[source.expovariate(1) for _ in range(3)] for _ in range(count)]
    return [tuple(x / sum(row) for x in row) for row in rows]


def _contains(polygon: geometry.Polygon, point: geometry.Point) -> bool:
    signs = []
    for index, here in enumerate(polygon):
        before = polygon[index - 1]
        signs.append(
            (here[0] - before[0]) * (point[1] - before[1])
            - (here[1] - before[1]) * (point[0] - before[0])
        )
    return all(sign >= -1e-12 for sign in signs) or all(sign <= 1e-12 for sign in signs)


@pytest.mark.parametrize("seed", range(5))
def test_regions_tile_the_triangle_and_hold_their_winners(seed: int) -> None:
    values = _random_values(6, seed)
    regions = list(geometry.regions(values))
    assert sum(geometry.area(polygon) for _, polygon in regions) == pytest.approx(1.0)
    for weights in _random_weights(100, seed):
        winner = max(range(6), key=lambda index: geometry.dot(values[index], weights))
        assert winner in [index for index, polygon in regions if _contains(polygon, weights)]


def test_equal_policies_share_one_region() -> None:
    values = [(0.5, 0.5, 0.5), (0.9, 0.1, 0.1), (0.5, 0.5, 0.5)]
    assert [index for index, _ in geometry.regions(values)] == [0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_bands_hold_the_users_with_that_gap(seed: int) -> None:
    candidates = _random_values(8, seed)
    members = candidates[:2]
    cells = list(geometry.gap_cells(candidates, members))
    highest = max(geometry.dot(gap, corner) for gap, cell in cells for corner in cell)
    levels = triangle.nice_levels(highest)
    parts = [part for gap, cell in cells for part in geometry.bands(cell, gap, levels)]
    assert sum(geometry.area(polygon) for _, polygon in parts) == pytest.approx(1.0)
    losses = []
    for weights in _random_weights(300, seed):
        best = max(geometry.dot(value, weights) for value in candidates)
        loss = best - max(geometry.dot(value, weights) for value in members)
        losses.append(loss)
        assert loss <= highest + 1e-12
        bands = {index for index, polygon in parts if _contains(polygon, weights)}
        assert any(levels[i] - 1e-9 <= loss <= levels[i + 1] + 1e-9 for i in bands)
    assert geometry.mean_gap(cells) == pytest.approx(sum(losses) / 300, abs=0.2 * highest)


@pytest.mark.parametrize("highest", [0.0, 1e-7, 0.0031, 0.05, 0.18, 0.34, 1.0])
def test_levels_are_few_and_reach_the_highest_gap(highest: float) -> None:
    levels = triangle.nice_levels(highest)
    assert levels[0] == 0
    assert levels[-1] >= highest - 1e-12
    assert 2 <= len(levels) <= 11


class _Page(HTMLParser):
    """Collects what a page could load, and whether its elements close in order."""

    _VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self._VOID:
            self.open.append(tag)
        self.loads += [f"{tag} {key}" for key, _ in attrs if key in ("src", "href", "srcset")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("d", [2, 3, 4])
def test_the_page_is_whole_and_loads_nothing(d: int) -> None:
    page = render(_report(d))
    parsed = _Page(page)
    assert parsed.open == []
    assert parsed.loads == []
    assert not re.search(r"https?://|@import|url\(", page)
    for trait in TRAITS[:d]:
        assert trait in parsed.text
    assert "What is <b>rain</b>?" in parsed.text
    assert "<b>rain</b>" not in page


def test_a_trait_cannot_end_the_script() -> None:
    portfolio = _portfolio(3)
    evil = "</script><script>alert(1)</script>"
    spec = palmfolio.PortfolioSpec(
        "base", (evil, *TRAITS[1:3]), "", "", palmfolio.AdaptiveStrategy()
    )
    page = render(_report(3, spec=spec, candidates=portfolio.candidates))
    assert "<script>alert" not in page
    assert page.count("</script>") == 2


def test_strips_show_the_largest_gap_between_any_two_traits() -> None:
    source = random.Random(4)
    traits = (*TRAITS, "safety")
    candidates = tuple(
        palmfolio.Candidate(
            policy=f"policies/{index}",
            weights=None,
            value={trait: source.random() for trait in traits},
            selected=index < 3,
        )
        for index in range(30)
    )
    worst = {"relevance": 0.25, "brevity": 0.75}
    spec = palmfolio.PortfolioSpec("", traits, "", "", palmfolio.AdaptiveStrategy(), delta=0.05)
    certificate = palmfolio.Certificate(0.5, 0.5, worst, 0.0, 0.05, 0.5, worst)
    report = Report(_portfolio(4, spec=spec, candidates=candidates, certificate=certificate))
    drawing = slices.chart(report)
    shown = [float(text) for text in re.findall(r'class="tick"[^>]*>([0-9.]+)<', drawing)]
    assert len(shown) == 1 + 10
    for (first, second), gap in zip(itertools.combinations(traits, 2), shown[1:], strict=True):
        V = np.array([[c.value[first], c.value[second]] for c in candidates])
        assert gap == pytest.approx(palm.certificate(V, [0, 1, 2]).additive, abs=6e-4)
    assert drawing.count('class="worst"') == 1
    page = _Page(render(report)).text
    assert "no weights" not in page and "Trained for" not in page


@given(st.lists(st.tuples(*[st.integers(0, 6).map(lambda x: x / 6)] * 2), min_size=1, max_size=8))
def test_utility_is_straight_between_breakpoints(values: list[tuple[float, float]]) -> None:
    shares = line.breakpoints(values)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    for low, high in itertools.pairwise(shares):
        ends = line.envelope(values, low)[0] + line.envelope(values, high)[0]
        assert line.envelope(values, (low + high) / 2)[0] == pytest.approx(ends / 2, abs=1e-12)


def test_the_gap_against_everything_trainable_comes_with_its_assumption() -> None:
    refutation = palmfolio.Refutation("policies/cccc", "policies/aaaa", {"warmth": 1.0}, 0.25)
    bound = palmfolio.TrainableBound(0.625, {"warmth": 1.0}, 0.02, 3)
    page = _Page(render(_report(3, trainable=bound))).text
    assert "at most 0.6250 (ε = 0), if each of three trainings reached 0.98 of the best" in page
    assert "that is not a proof" in page
    refuted = dataclasses.replace(bound, refutations=(refutation,))
    page = _Page(render(_report(3, trainable=refuted))).text
    assert "Refuted: cccc" in page and "the assumption fails" in page
    shown = io.StringIO()
    console = Console(file=shown, width=120)
    console.print(tables.certificate(_report(3, trainable=refuted)))
    table = " ".join(shown.getvalue().split())
    assert "≤ 0.6250 if each of three trainings reached 0.98 of the best" in table
    assert "1 of them refuted" in table
    content = summary(_report(3, trainable=refuted))["trainable"]
    assert (content["gap"], content["alpha"], content["refuted"]) == (0.625, 0.02, ["cccc"])
    assert "everything trainable" not in _Page(render(_report(3))).text


def test_the_summary_has_the_curve_and_the_confidence_of_the_page() -> None:
    worst = {"relevance": 0.0, "brevity": 0.0, "warmth": 1.0}
    bound = palmfolio.ConfidenceBound(0.95, 0.625, worst, "max_t", 40)
    points = (
        palmfolio.TradeoffPoint(1, 0.55, 0.55, True, ("policies/aaaa",), worst),
        palmfolio.TradeoffPoint(
            2, 0.5, 0.25, False, ("policies/aaaa", "policies/bbbb"), worst, 0.625
        ),
    )
    report = dataclasses.replace(_report(3, confidence=bound), tradeoff=points)
    content = json.loads(json.dumps(summary(report)))
    assert content["confidence"] == {
        "level": 0.95,
        "gap": 0.625,
        "method": "max_t",
        "clusters": None,
        "prompts": 40,
        "worst_weights": worst,
    }
    assert content["tradeoff"][1] == {
        "size": 2,
        "gap": 0.5,
        "multiplicative_gap": 0.625,
        "gap_lower_bound": 0.25,
        "optimal": False,
        "policies": ["aaaa", "bbbb"],
        "worst_weights": worst,
    }
    assert [point["size"] for point in content["tradeoff"]] == [1, 2]


def test_the_summary_has_the_documented_form() -> None:
    content = json.loads(json.dumps(summary(_report(3))))
    assert content == {
        "portfolio": "tiny",
        "traits": ["relevance", "brevity", "warmth"],
        "policies": [
            {
                "id": "aaaa",
                "weights": {"relevance": 1.0, "brevity": 0.0, "warmth": 0.0},
                "value": {"relevance": 0.9, "brevity": 0.4, "warmth": 0.4},
                "adapter": "file:///adapters/aaaa",
            },
            {
                "id": "bbbb",
                "weights": {"relevance": 0.0, "brevity": 1.0, "warmth": 0.0},
                "value": {"relevance": 0.4, "brevity": 0.9, "warmth": 0.4},
                "adapter": "file:///adapters/bbbb",
            },
        ],
        "candidates": 4,
        "certificate": {
            "additive": 0.5,
            "multiplicative": 0.56,
            "gap": 0.5,
            "multiplicative_gap": 0.625,
            "method": "corners",
            "confirmed": True,
            "worst_weights": {"relevance": 0.0, "brevity": 0.0, "warmth": 1.0},
        },
        "baselines": {"base_model": 0.6, "best_single_policy": 0.55},
        "confidence": None,
        "trainable": None,
        "coverage": None,
        "output_diversity": None,
        "tradeoff": [],
        "seconds": {"training": 61.0, "total": 75.25},
    }


def test_a_portfolio_that_is_not_ready_has_no_report() -> None:
    with pytest.raises(palmfolio.ConfigurationError, match="is building"):
        _report(3, state=palmfolio.PortfolioState.BUILDING, certificate=None)


def test_a_portfolio_without_a_gap_has_no_worst_user() -> None:
    certificate = palmfolio.Certificate(0.0, 0.0, {"relevance": 1.0}, gap_weights={"warmth": 1.0})
    members = tuple(
        dataclasses.replace(candidate, selected=True) for candidate in _portfolio(3).candidates
    )
    page = render(_report(3, certificate=certificate, candidates=members))
    assert "as well as the best of four candidates" in page
    assert "No user loses anything" in page
    assert "no one loses anything" in page
    assert 'class="worst"' not in page


def test_a_figure_without_a_meaning_is_null() -> None:
    nan = float("nan")
    changes = {
        "certificate": palmfolio.Certificate(0.1, nan, {"relevance": 1.0}, gap=0.1),
        "baselines": palmfolio.Baselines(nan, 0.55),
    }
    content = summary(_report(3, **changes))
    assert content["certificate"]["multiplicative"] is None
    assert content["baselines"]["base_model"] is None
    json.dumps(content, allow_nan=False)
    page = _Page(render(_report(3, **changes))).text
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)
    assert "Base model for everyone" not in page
