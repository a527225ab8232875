"""Output diversity as people see it: the report, the table and `portfolio.json`."""

import dataclasses
import json
import re
from collections.abc import Callable

import pytest

import palmfolio
from palmfolio import DiversityFigures, OutputDiversity
from palmfolio.report import Report, render, summary
from palmfolio.v1 import output_diversity_pb2, portfolios_pb2
from tests.support.cli_outcome import Outcome
from tests.support.sdk_peer import Peer

NAN = float("nan")
MEASURED = OutputDiversity(
    portfolio=DiversityFigures((0.5, 0.75, 0.875, NAN), 0.25, 0.625, ("policies/a", "policies/b")),
    uniform=DiversityFigures((0.25, 0.75, 0.9375, NAN), 0.5, 0.125, ("policies/a", "policies/c")),
    random=DiversityFigures((0.375, 0.5, 0.75, NAN), 0.125, 0.25),
    random_draws=8,
    groups=1200,
    embedding_trait="relevance",
    embedding_trait_version="v1",
)


def _portfolio(measured: OutputDiversity | None) -> palmfolio.Portfolio:
    values = ({"kind": 0.9, "brief": 0.1}, {"kind": 0.2, "brief": 0.8})
    return palmfolio.Portfolio(
        name="portfolios/p",
        spec=palmfolio.PortfolioSpec("base", ("kind", "brief"), "", ""),
        state=palmfolio.PortfolioState.READY,
        candidates=tuple(
            palmfolio.Candidate(f"policies/{name}", None, value, selected=True)
            for name, value in zip("ab", values, strict=True)
        ),
        certificate=palmfolio.Certificate(0.0, 0.0, {"kind": 1.0}),
        baselines=palmfolio.Baselines(NAN, 0.7, "policies/a"),
        output_diversity=measured,
    )


def _rows(page: str) -> dict[str, list[str]]:
    """The cells of the page's table of output diversity, by measure; the best are in stars."""
    found = {}
    for name, cells in re.findall(r"<td class=measure><b>(.*?)</b>.*?</td>(.*?)</tr>", page):
        parts = re.findall(r'<td class="?num( best)?"?>(?:<span>)?([^<]*)', cells)
        found[name] = [f"*{value}*" if best else value for best, value in parts]
    return found


def test_the_report_compares_the_portfolio_with_others_of_its_size() -> None:
    page = render(Report(_portfolio(MEASURED)))
    assert _rows(page) == {
        "distinct-1": ["*0.500*", "0.250", "0.375"],
        "distinct-2": ["*0.750*", "*0.750*", "0.500"],
        "distinct-3": ["0.875", "*0.938*", "0.750"],
        # Less is more diverse.
        "self-BLEU": ["0.250", "0.500", "*0.125*"],
        "embedding distance": ["*0.625*", "0.125", "0.250"],
    }
    assert "Means over 1,200 sets of answers" in page and "of the trait relevance" in page
    assert "<th class=num>Random, eight draws</th>" in page


def test_what_was_not_measured_is_said() -> None:
    figures = DiversityFigures((1.0, NAN, NAN, NAN))
    measured = OutputDiversity(
        figures, figures, None, 8, 1, embedding_problem="the scorer has <no> such trait"
    )
    page = render(Report(_portfolio(measured)))
    # Equal figures: none is the best.
    assert _rows(page) == {"distinct-1": ["1.000", "1.000"]}
    assert "No embedding distance: the scorer has &lt;no&gt; such trait." in page
    assert "Too few candidates were trained at weights" in page
    assert "Evenly spread" not in page and "over 1 set of answers" in page
    assert "How different the answers are" not in render(Report(_portfolio(None)))


def test_the_summary_holds_the_figures() -> None:
    content = json.loads(json.dumps(summary(Report(_portfolio(MEASURED))), allow_nan=False))
    assert content["output_diversity"] == {
        "groups": 1200,
        "portfolio": {
            "distinct_1": 0.5,
            "distinct_2": 0.75,
            "distinct_3": 0.875,
            "distinct_4": None,
            "self_bleu": 0.25,
            "embedding_distance": 0.625,
            "policies": ["a", "b"],
        },
        "uniform": {
            "distinct_1": 0.25,
            "distinct_2": 0.75,
            "distinct_3": 0.9375,
            "distinct_4": None,
            "self_bleu": 0.5,
            "embedding_distance": 0.125,
            "policies": ["a", "c"],
        },
        "random": {
            "distinct_1": 0.375,
            "distinct_2": 0.5,
            "distinct_3": 0.75,
            "distinct_4": None,
            "self_bleu": 0.125,
            "embedding_distance": 0.25,
            "policies": [],
            "draws": 8,
        },
        "embedding_trait": "relevance",
        "embedding_trait_version": "v1",
        "embedding_problem": None,
    }
    alone = dataclasses.replace(MEASURED, uniform=None)
    assert summary(Report(_portfolio(alone)))["output_diversity"]["uniform"] is None
    assert summary(Report(_portfolio(None)))["output_diversity"] is None


@pytest.fixture
def message() -> portfolios_pb2.Portfolio:
    """The portfolio as the selector sends it."""
    portfolio = portfolios_pb2.Portfolio(
        name="portfolios/p", state=portfolios_pb2.PORTFOLIO_STATE_READY
    )
    portfolio.spec.traits.extend(["kind", "brief"])
    for name in "ab":
        candidate = portfolio.candidates.add(policy=f"policies/{name}", selected=True)
        candidate.value.update({"kind": 0.5, "brief": 0.5})
    portfolio.certificate.gap = 0.25
    portfolio.baselines.base_model = NAN
    measured = portfolio.output_diversity
    for name in ("portfolio", "uniform", "random"):
        given: DiversityFigures = getattr(MEASURED, name)
        figures: output_diversity_pb2.DiversityFigures = getattr(measured, name)
        figures.distinct.extend(given.distinct)
        figures.self_bleu = given.self_bleu or 0.0
        figures.embedding_distance = given.embedding_distance or 0.0
        figures.policies.extend(given.policies)
    measured.random_draws, measured.groups = 8, 1200
    measured.embedding_trait, measured.embedding_trait_version = "relevance", "v1"
    return portfolio


def test_the_sdk_and_the_command_show_what_the_selector_sends(
    peer: Peer,
    endpoints: str,
    command: Callable[..., Outcome],
    message: portfolios_pb2.Portfolio,
) -> None:
    peer.on("GetPortfolio", lambda *_: message)
    with palmfolio.Client(selector=peer.address) as client:
        decoded = client.selector.get_portfolio("p").output_diversity
    assert repr(decoded) == repr(MEASURED)  # NaN is not equal to itself
    shown = " ".join(command("portfolio", "show", "p", "--endpoints", endpoints).out.split())
    assert "output diversity This portfolio Evenly spread Random, eight draws" in shown
    assert "distinct-3 (more) 0.875 0.938 0.750" in shown
    assert "self-BLEU (less) 0.250 0.500 0.125" in shown
    assert "distinct-4" not in shown
    assert "over 1,200 sets of answers to the same prompt; embeddings of the trait" in shown
    as_json = command("portfolio", "show", "p", "--json", "--endpoints", endpoints).json
    assert as_json["output_diversity"]["portfolio"]["self_bleu"] == 0.25
    assert as_json["output_diversity"]["portfolio"]["distinct"] == [0.5, 0.75, 0.875, None]


def test_a_portfolio_of_an_earlier_version_is_shown_without(
    peer: Peer,
    endpoints: str,
    command: Callable[..., Outcome],
    message: portfolios_pb2.Portfolio,
) -> None:
    message.ClearField("output_diversity")
    peer.on("GetPortfolio", lambda *_: message)
    outcome = command("portfolio", "show", "p", "--endpoints", endpoints)
    assert outcome.code == 0 and "diversity" not in outcome.out
    message.output_diversity.embedding_problem = "no such trait"
    message.output_diversity.portfolio.distinct.append(1.0)
    outcome = command("portfolio", "show", "p", "--endpoints", endpoints)
    assert "no embedding distance: no such trait" in " ".join(outcome.out.split())
