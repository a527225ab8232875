"""The report's trade-off curve, and its words about the gap's confidence."""

import dataclasses
import re

import palmfolio
from palmfolio.report import Report, render, tradeoff

TRAITS = ("relevance", "brevity", "warmth")


def _report(*points: palmfolio.TradeoffPoint, epsilon: float = 0.0, delta: float = 0.05) -> Report:
    """Two members of three candidates, at a gap of 0.2."""
    candidates = tuple(
        palmfolio.Candidate(
            policy=f"policies/{index}",
            weights={trait: float(trait == best) for trait in TRAITS},
            value={trait: 0.8 if trait == best else 0.6 for trait in TRAITS},
            selected=index < 2,
        )
        for index, best in enumerate(TRAITS)
    )
    worst = {"warmth": 1.0}
    portfolio = palmfolio.Portfolio(
        name="portfolios/tiny",
        spec=palmfolio.PortfolioSpec("base", TRAITS, "", "", epsilon=epsilon, delta=delta),
        state=palmfolio.PortfolioState.READY,
        candidates=candidates,
        certificate=palmfolio.Certificate(0.2, 0.25, worst, gap=0.2, gap_weights=worst),
        baselines=palmfolio.Baselines(0.6, 0.55, "policies/0"),
    )
    return Report(portfolio, tradeoff=points)


def _point(size: int, gap: float, bound: float) -> palmfolio.TradeoffPoint:
    return palmfolio.TradeoffPoint(size, gap, bound, gap <= bound, (), {"warmth": 1.0})


CURVE = (_point(1, 0.4, 0.4), _point(2, 0.2, 0.1), _point(3, 0.0, 0.0))


def _heights(page: str, kind: str) -> list[float]:
    return [float(y) for y in re.findall(rf'<circle class="{kind}"[^>]* cy="([0-9.]+)"', page)]


def _surely(bound: palmfolio.ConfidenceBound) -> str:
    report = _report()
    portfolio = dataclasses.replace(report.portfolio, confidence=bound)
    return re.sub(r"<[^>]+>", "", render(Report(portfolio))).replace("\N{NO-BREAK SPACE}", " ")


def test_the_curve_is_shown_only_when_it_is_given() -> None:
    assert "What another member would buy" not in render(_report())
    assert "What another member would buy" in render(_report(*CURVE))


def test_gaps_bounds_target_and_portfolio_share_one_scale() -> None:
    drawn = tradeoff.chart(_report(*CURVE))
    first, third = _heights(drawn, "size proven")
    (second,) = _heights(drawn, "size")
    assert abs(second - (first + third) / 2) < 0.11
    assert _heights(drawn, "chosen") == [second]
    (bound,) = re.findall(r'class="whisker" d="M[0-9.]+,[0-9.]+V([0-9.]+)', drawn)
    assert abs(float(bound) - (second + third) / 2) < 0.11
    (target,) = re.findall(r'class="target" d="M[0-9.]+,([0-9.]+)', drawn)
    assert abs(float(target) - (third + (first - third) / 8)) < 0.11
    assert "no less than 0.1000 is possible" in drawn


def test_a_target_for_another_gap_is_not_drawn() -> None:
    for report in (_report(*CURVE, epsilon=0.1), _report(*CURVE, delta=0.0)):
        assert 'class="target"' not in render(report)


def test_a_portfolio_beyond_the_curve_has_its_place() -> None:
    drawn = tradeoff.chart(_report(CURVE[0]))
    assert "2 members" in drawn
    assert len(_heights(drawn, "chosen")) == 1


def test_a_curve_without_any_gap_can_be_drawn() -> None:
    assert "nan" not in tradeoff.chart(_report(_point(1, 0.0, 0.0), delta=0.0))


def test_the_curve_is_asked_past_the_portfolio_and_within_limits() -> None:
    portfolio = _report().portfolio
    assert tradeoff.largest_size(portfolio) == 8
    many = dataclasses.replace(portfolio, candidates=portfolio.candidates[:1] * 100)
    assert tradeoff.largest_size(many) == 64


def test_the_bound_on_the_true_gap_comes_with_its_grounds() -> None:
    page = _surely(palmfolio.ConfidenceBound(0.95, 0.31, {}, "max_t", 24))
    assert "exact for 24 prompts; true gap at most 0.310 at 95 % confidence" in page
    assert "24 prompts, max-t bootstrap" in page
    assert "approximately when prompts are few" in page


def test_a_bound_that_says_nothing_is_not_made_a_figure() -> None:
    page = _surely(palmfolio.ConfidenceBound(0.95, 1.0, {}, "hoeffding", 4))
    assert "exact for 4 prompts, too few to bound the true gap" in page
    assert "true gap at most" not in page


def test_without_a_bound_the_true_gap_is_said_to_be_unknown() -> None:
    page = render(_report())
    assert "true gap at most" not in page
    assert page.count("not bounded: the values rest on one prompt, or came without prompts") == 2
