"""`palmfolio portfolios plan`, `certify`, `tradeoff` and `export`: what they send and print."""

import json
from collections.abc import Callable
from pathlib import Path

from palmfolio.v1 import portfolios_pb2, prompts_pb2, selector_pb2, types_pb2
from tests.support.cli_outcome import Outcome
from tests.support.sdk_peer import Peer

Command = Callable[..., Outcome]

SPEC = """
portfolio: x
base_model: tiny
traits: [brevity, warmth]
training_prompts: prompts.txt
evaluation_prompts: prompts.txt
strategy: {uniform: {resolution: 2}}
delta: 0.1
"""


def _weights(**values: float) -> types_pb2.Weights:
    return types_pb2.Weights(values=values)


def test_plan_shows_what_a_build_would_train(
    peer: Peer, command: Command, endpoints: str, tmp_path: Path
) -> None:
    (tmp_path / "prompts.txt").write_text("hello\n")
    (tmp_path / "spec.yaml").write_text(SPEC)
    peer.on("CreatePromptSet", lambda *_: prompts_pb2.PromptSet(name="promptSets/p"))
    plan = selector_pb2.PlanPortfolioResponse(
        trainings=3,
        trainings_allowed=64,
        weights=[_weights(brevity=1.0), _weights(warmth=1.0)],
        guarantee=portfolios_pb2.PlannedGuarantee(epsilon=0.0, delta=0.25, prompt_error=0.5),
    )
    peer.on("PlanPortfolio", lambda *_: plan)
    planned = command("portfolio", "plan", "spec.yaml", "--endpoints", endpoints, "--json").json
    sent = peer.requests("PlanPortfolio")[0].spec
    assert (sent.training_prompt_set, sent.strategy.uniform.resolution) == ("promptSets/p", 2)
    assert (planned["trainings"], planned["weights"]) == (3, [{"brevity": 1.0}, {"warmth": 1.0}])
    assert planned["guarantee"] == {"epsilon": 0.0, "delta": 0.25, "prompt_error": 0.5}
    outcome = command("portfolio", "plan", "spec.yaml", "--endpoints", endpoints)
    assert outcome.code == 0
    assert "delta 0.2500" in outcome.out


def test_plan_with_few_prompts_promises_nothing_of_others(
    peer: Peer, command: Command, endpoints: str, tmp_path: Path
) -> None:
    (tmp_path / "prompts.txt").write_text("hello\n")
    (tmp_path / "spec.yaml").write_text(SPEC)
    peer.on("CreatePromptSet", lambda *_: prompts_pb2.PromptSet(name="promptSets/p"))
    guarantee = portfolios_pb2.PlannedGuarantee(delta=0.25, prompt_error=1.7)
    plan = selector_pb2.PlanPortfolioResponse(guarantee=guarantee)
    peer.on("PlanPortfolio", lambda *_: plan)
    out = command("portfolio", "plan", "spec.yaml", "--endpoints", endpoints).out
    assert "too few" in out and "1.7" not in out


def test_certify_sends_the_target_and_shows_the_gaps(
    peer: Peer, command: Command, endpoints: str
) -> None:
    answer = selector_pb2.CertifyPortfolioResponse(
        certificate=portfolios_pb2.Certificate(
            additive=0.125,
            multiplicative=0.25,
            worst_weights=_weights(warmth=1.0),
            epsilon=0.05,
            delta=0.1,
            gap=0.1875,
            multiplicative_gap=0.3125,
            corner_weights=9,
            method="corners",
            confirmed=True,
        ),
        confidence=portfolios_pb2.ConfidenceBound(level=0.95, gap=0.375, prompts=40),
    )
    peer.on("CertifyPortfolio", lambda *_: answer)
    asked = ("portfolio", "certify", "x", "--epsilon", "0.05", "--delta", "0.1")
    outcome = command(*asked, "--endpoints", endpoints)
    sent = peer.requests("CertifyPortfolio")[0]
    assert (sent.candidates.portfolio, sent.epsilon, sent.delta) == ("portfolios/x", 0.05, 0.1)
    # Both pure gaps come first, then those at the target.
    for text in ("0.187500", "0.312500", "0.125000", "0.250000", "warmth 100%", "0.375000"):
        assert text in outcome.out
    assert "at 9 corner weights; confirmed by mixtures of the members" in outcome.out
    certification = command(*asked, "--endpoints", endpoints, "--json").json
    assert certification["certificate"]["worst_weights"] == {"warmth": 1.0}
    assert certification["baselines"] is None


def test_tradeoff_shows_every_size(peer: Peer, command: Command, endpoints: str) -> None:
    points = [
        portfolios_pb2.TradeoffPoint(
            size=1,
            gap=0.5,
            gap_lower_bound=0.25,
            policies=["policies/a"],
            worst_weights=_weights(warmth=1.0),
        ),
        portfolios_pb2.TradeoffPoint(size=2, optimal=True, policies=["policies/a", "policies/b"]),
    ]
    peer.on("TradeoffCurve", lambda *_: selector_pb2.TradeoffCurveResponse(points=points))
    asked = ("portfolio", "tradeoff", "x", "--max-size", "2", "--endpoints", endpoints)
    printed = command(*asked, "--json").json
    assert peer.requests("TradeoffCurve")[0].max_size == 2
    assert [point["policies"] for point in printed] == [
        ["policies/a"],
        ["policies/a", "policies/b"],
    ]
    outcome = command(*asked)
    for text in ("0.50000", "0.25000", "proven"):
        assert text in outcome.out


def test_export_writes_the_portfolio_with_members_and_adapters(
    peer: Peer, command: Command, endpoints: str, tmp_path: Path
) -> None:
    portfolio = portfolios_pb2.Portfolio(
        name="portfolios/x", state=portfolios_pb2.PORTFOLIO_STATE_READY
    )
    portfolio.spec.base_model = "tiny"
    portfolio.candidates.add(policy="policies/a", selected=True, adapter="file:///a")
    portfolio.candidates.add(policy="policies/base", selected=True, is_base_model=True)
    portfolio.candidates.add(policy="policies/c", value={"warmth": 0.5}, adapter="file:///c")
    portfolio.certificate.additive = 0.125
    portfolio.certificate.multiplicative = float("nan")
    portfolio.confidence.gap, portfolio.confidence.prompts = 0.25, 40
    peer.on("GetPortfolio", lambda *_: portfolio)
    curve = selector_pb2.TradeoffCurveResponse()
    curve.points.add(size=1, gap=0.125, gap_lower_bound=0.125, optimal=True)
    peer.on("TradeoffCurve", lambda *_: curve)
    asked = ("portfolio", "export", "x", "--endpoints", endpoints)
    exported = command(*asked).json
    assert peer.requests("GetPortfolio")[0].name == "portfolios/x"
    assert exported["members"] == ["policies/a", "policies/base"]
    assert exported["adapters"] == {"policies/a": "file:///a"}
    assert exported["spec"]["base_model"] == "tiny"
    assert (exported["confidence"]["gap"], exported["confidence"]["prompts"]) == (0.25, 40)
    assert [(point["size"], point["gap"]) for point in exported["tradeoff"]] == [(1, 0.125)]
    assert exported["candidates"][2]["value"] == {"warmth": 0.5}
    assert (exported["certificate"]["additive"], exported["certificate"]["multiplicative"]) == (
        0.125,
        None,
    )
    outcome = command(*asked, "--output", "x.json")
    assert (outcome.code, outcome.out) == (0, "wrote x.json\n")
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == exported


def test_an_export_that_cannot_be_written_is_named(
    peer: Peer, command: Command, endpoints: str
) -> None:
    peer.on("GetPortfolio", lambda *_: portfolios_pb2.Portfolio(name="portfolios/x"))
    outcome = command(
        "portfolio", "export", "x", "--endpoints", endpoints, "--output", "none/x.json"
    )
    assert outcome.code == 1
    assert "none/x.json" in outcome.err
