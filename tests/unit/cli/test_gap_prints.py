"""Both pure gaps come first wherever gaps are shown, and one prompt is never passed over."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from palmfolio.v1 import portfolios_pb2, selector_pb2
from tests.support.cli_outcome import Outcome
from tests.support.sdk_peer import Peer

Command = Callable[..., Outcome]

ONE_PROMPT = "policy,prompt,kind,brief\na,x,0.9,0.1\nb,x,0.2,0.8\nc,x,0.6,0.6\n"
TWO_PROMPTS = ONE_PROMPT + "a,y,0.8,0.2\nb,y,0.1,0.9\nc,y,0.5,0.7\n"
MEANS = "policy,kind,brief\na,0.9,0.1\nb,0.2,0.8\nc,0.6,0.6\n"


def _in_order(text: str, *wanted: str) -> None:
    """Each part stands in the text, after the one before it."""
    positions = [text.index(part) for part in wanted]
    assert positions == sorted(positions), text


@pytest.mark.parametrize("limits", [(), ("--delta", "0.1"), ("--epsilon", "0.2"), ("--size", "1")])
def test_select_shows_both_pure_gaps_before_those_at_the_target(
    command: Command, tmp_path: Path, limits: tuple[str, ...]
) -> None:
    (tmp_path / "x.csv").write_text(MEANS)
    out = command("select", "x.csv", *limits).out
    _in_order(out, "certified gap", "(additive, over every weighting)", "(multiplicative)")
    if limits and limits[0] != "--size":
        _in_order(out, "(multiplicative)", "at the target")


@pytest.mark.parametrize("size", ["1", "2", "3"])
def test_select_warns_of_one_prompt(command: Command, tmp_path: Path, size: str) -> None:
    (tmp_path / "one.csv").write_text(ONE_PROMPT)
    out = " ".join(command("select", "one.csv", "--size", size).out.split())
    _in_order(out, "warning every value is that of one prompt", "certified gap")
    assert "no one loses anything computed" not in out
    assert ("no one loses anything on this prompt" in out) == (size == "3")
    printed = command("select", "one.csv", "--size", size, "--json").json
    assert len(printed["warnings"]) == 1 and "one prompt" in printed["warnings"][0]
    assert printed["confidence"] is None


@pytest.mark.parametrize("content", [TWO_PROMPTS, MEANS])
def test_select_warns_of_nothing_else(command: Command, tmp_path: Path, content: str) -> None:
    (tmp_path / "x.csv").write_text(content)
    assert "warning" not in command("select", "x.csv", "--size", "2").out
    assert command("select", "x.csv", "--size", "2", "--json").json["warnings"] == []


@pytest.mark.parametrize(
    ("size", "epsilon"), [*itertools.product(("1", "2"), ("0", "0.01", "0.05", "0.13"))]
)
def test_the_delta_that_an_error_names_is_enough(
    command: Command, tmp_path: Path, size: str, epsilon: str
) -> None:
    rows = [f"p{i},{(i * 37 % 11) / 11},{(i * 53 % 13) / 13},{(i * 29 % 7) / 7}" for i in range(9)]
    (tmp_path / "x.csv").write_text("\n".join(["policy,a,b,c", *rows]))
    asked = ("select", "x.csv", "--size", size, "--epsilon", epsilon)
    refused = command(*asked, "--delta", "0.00001")
    assert refused.code == 1
    named = refused.err.split("raise --delta to ")[1].split()[0].rstrip(",.")
    again = command(*asked, "--delta", named, "--json")
    assert again.code == 0, again.err
    assert again.json["certificate"]["additive"] <= float(named)


def _certificate(ratio: float | None) -> portfolios_pb2.Certificate:
    return portfolios_pb2.Certificate(
        additive=0.125,
        multiplicative=0.25,
        epsilon=0.05,
        delta=0.1,
        gap=0.1875,
        multiplicative_gap=ratio,
        corner_weights=9,
        method="corners",
        confirmed=True,
    )


def _portfolio(ratio: float | None, prompts: int) -> portfolios_pb2.Portfolio:
    portfolio = portfolios_pb2.Portfolio(
        name="portfolios/p",
        state=portfolios_pb2.PORTFOLIO_STATE_READY,
        certificate=_certificate(ratio),
        baselines=portfolios_pb2.Baselines(base_model=0.5, best_single_policy=0.5),
    )
    portfolio.spec.traits.extend(["kind", "brief"])
    for name in "ab":
        candidate = portfolio.candidates.add(policy=f"policies/{name}", selected=name == "a")
        candidate.value.update({"kind": 0.5, "brief": 0.5})
    if prompts > 1:
        portfolio.confidence.CopyFrom(_bound(prompts))
    return portfolio


def _bound(prompts: int) -> portfolios_pb2.ConfidenceBound:
    return portfolios_pb2.ConfidenceBound(level=0.95, gap=0.375, prompts=prompts, method="max_t")


@pytest.mark.parametrize("prompts", [1, 40])
def test_show_and_report_tell_both_gaps_and_what_they_rest_on(
    peer: Peer, command: Command, endpoints: str, tmp_path: Path, prompts: int
) -> None:
    peer.on("GetPortfolio", lambda *_: _portfolio(0.3125, prompts))
    peer.on("TradeoffCurve", lambda *_: selector_pb2.TradeoffCurveResponse())
    peer.on("Route", lambda *_: selector_pb2.RouteResponse(policy="policies/a"))
    out = command("portfolio", "show", "p", "--endpoints", endpoints).out
    _in_order(out, "certified gap", "0.1875  (additive", "0.3125  (multiplicative)", "true gap")
    unknown = "the values rest on one prompt, or came without prompts"
    assert (unknown in " ".join(out.split())) == (prompts == 1)
    asked = ("portfolio", "report", "p", "--output", "p.html", "--endpoints", endpoints)
    assert command(*asked).code == 0
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    _in_order(page, "<h3>Certified gap</h3>", "additive; multiplicative <b>0.312</b>")
    _in_order(page, "Additive gap at ε = 0", "Multiplicative gap at δ = 0", "at that ε")
    assert (unknown in page) == (prompts == 1)


def test_a_gap_without_a_meaning_is_said(peer: Peer, command: Command, endpoints: str) -> None:
    peer.on("GetPortfolio", lambda *_: _portfolio(None, 40))
    out = command("portfolio", "show", "p", "--endpoints", endpoints).out
    assert "no multiplicative gap" in " ".join(out.split())
    answer = selector_pb2.CertifyPortfolioResponse(certificate=_certificate(None))
    peer.on("CertifyPortfolio", lambda *_: answer)
    out = " ".join(command("portfolio", "certify", "p", "--endpoints", endpoints).out.split())
    assert "no multiplicative gap" in out


@pytest.mark.parametrize("prompts", [1, 40])
def test_certify_tells_both_gaps_and_what_they_rest_on(
    peer: Peer, command: Command, endpoints: str, prompts: int
) -> None:
    answer = selector_pb2.CertifyPortfolioResponse(certificate=_certificate(0.3125))
    if prompts > 1:
        answer.confidence.CopyFrom(_bound(prompts))
    peer.on("CertifyPortfolio", lambda *_: answer)
    out = command("portfolio", "certify", "p", "--endpoints", endpoints).out
    _in_order(out, "0.187500", "0.312500", "0.125000", "0.250000", "upper bound")
    assert ("rest on one prompt" in " ".join(out.split())) == (prompts == 1)


def test_tradeoff_shows_both_gaps_of_every_size(
    peer: Peer, command: Command, endpoints: str
) -> None:
    points = [
        portfolios_pb2.TradeoffPoint(size=1, gap=0.5, multiplicative_gap=0.625),
        portfolios_pb2.TradeoffPoint(size=2, gap=0.25),
    ]
    peer.on("TradeoffCurve", lambda *_: selector_pb2.TradeoffCurveResponse(points=points))
    asked = ("portfolio", "tradeoff", "p", "--endpoints", endpoints)
    lines = [line.split() for line in command(*asked).out.splitlines()]
    rows = [line[:3] for line in lines if line and line[0] in "12"]
    assert rows == [["1", "0.50000", "0.62500"], ["2", "0.25000", "–"]]
    printed = command(*asked, "--json").json
    assert [point["multiplicative_gap"] for point in printed] == [0.625, None]
