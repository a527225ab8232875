"""Commands: what they send, what they print, and how they fail."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2

from palmfolio.v1 import portfolios_pb2, prompts_pb2, selector_pb2, trainer_pb2
from tests.support.cli_outcome import Outcome
from tests.support.sdk_peer import Peer, abort

Command = Callable[..., Outcome]


def _one_paragraph(text: str) -> bool:
    return text.startswith("error: ") and len(text.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("helpful=-0.1,brief=1", "'helpful' is -0.1; weights must be finite and not negative"),
        ("helpful=0,brief=0", "all weights are zero"),
        ("helpful=nan", "'helpful' is nan"),
        ("helpful=inf", "'helpful' is inf"),
        ("helpful", "'helpful' is not of the form trait=number"),
        ("helpful=much", "'much', not a number"),
        ("helpful=1_0e-2", "'1_0e-2', not a number"),
        ("helpful=٣", "'٣', not a number"),
        ("=0.5", "not of the form"),
        ("", "not of the form"),
        ("helpful=1,helpful=2", "given twice"),
    ],
)
def test_bad_weights_are_bad_usage(command: Command, weights: str, message: str) -> None:
    outcome = command("route", "--portfolio", "x", "--weights", weights)
    assert outcome.code == 2
    assert message in outcome.err
    assert _one_paragraph(outcome.err)
    assert outcome.out == ""


def _routed(request: Any, context: grpc.ServicerContext) -> selector_pb2.RouteResponse:
    return selector_pb2.RouteResponse(
        policy="policies/abc", value={"helpful": 0.75}, utility=0.75, gap=0.0
    )


def test_route_sends_weights_and_prints_the_policy(
    peer: Peer, command: Command, endpoints: str
) -> None:
    peer.on("Route", _routed)
    arguments = ("route", "--portfolio", "x", "--weights", "helpful=6, brief=4")
    outcome = command(*arguments, "--endpoints", endpoints)
    assert outcome.code == 0
    assert "policies/abc" in outcome.out
    assert dict(peer.requests("Route")[0].weights.values) == {"helpful": 6.0, "brief": 4.0}
    outcome = command(*arguments, "--endpoints", endpoints, "--json")
    assert (outcome.json["policy"], outcome.json["value"]) == ("policies/abc", {"helpful": 0.75})


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.NOT_FOUND, 1),
        (grpc.StatusCode.FAILED_PRECONDITION, 1),
        (grpc.StatusCode.PERMISSION_DENIED, 1),
    ],
)
def test_what_a_service_refuses_is_one_paragraph(
    peer: Peer, command: Command, endpoints: str, status: grpc.StatusCode, code: int
) -> None:
    peer.on("Route", lambda request, context: abort(context, status, "the service says why"))
    outcome = command(
        "route", "--portfolio", "x", "--weights", "a=1", "--endpoints", endpoints, "--json"
    )
    assert outcome.code == code
    assert outcome.err.strip() == "error: the service says why"
    assert outcome.out == ""


def test_no_services_says_how_to_start_them(command: Command) -> None:
    outcome = command("policies")
    assert outcome.code == 2
    assert "palmfolio serve all" in outcome.err
    assert _one_paragraph(outcome.err)


@pytest.mark.slow
def test_services_that_are_gone_are_named(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "gone.json"
    path.write_text(json.dumps({"trainer": "127.0.0.1:1"}))
    outcome = command("policies", "--endpoints", str(path))
    assert outcome.code == 1
    assert "the trainer at 127.0.0.1:1" in outcome.err
    assert _one_paragraph(outcome.err)


@pytest.mark.parametrize(
    "arguments",
    [("route",), ("nothing",), ("traits", "--nothing"), ("serve", "everything"), ("score",)],
)
def test_bad_usage_points_to_the_help(command: Command, arguments: tuple[str, ...]) -> None:
    outcome = command(*arguments)
    assert outcome.code == 2
    assert "--help" in outcome.err
    assert _one_paragraph(outcome.err)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("quickstart",),
        ("serve",),
        ("portfolios",),
        ("portfolios", "build"),
        ("portfolio", "build"),
        ("portfolios", "select"),
        ("policies", "show"),
        ("evaluations", "import"),
        ("prompts", "create"),
        ("route",),
        ("score",),
        ("train",),
        ("generate",),
        ("operations", "cancel"),
    ],
)
def test_every_command_has_help(command: Command, arguments: tuple[str, ...]) -> None:
    outcome = command(*arguments, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith("Usage: palmfolio")


def _generate(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    yield trainer_pb2.GenerateResponse(
        completions=[
            trainer_pb2.Completion(
                policy=policy, prompt_index=index, text=f"answer to {prompt.text}"
            )
            for policy in request.policies
            for index, prompt in enumerate(request.prompts)
        ]
    )


def test_generate_prints_answers(peer: Peer, command: Command, endpoints: str) -> None:
    peer.on("Generate", _generate)
    arguments = ("generate", "--policy", "a", "--policy", "b", "--prompt", "q", "--seed", "3")
    outcome = command(*arguments, "--endpoints", endpoints, "--json")
    assert [item["policy"] for item in outcome.json] == ["policies/a", "policies/b"]
    assert peer.requests("Generate")[0].sampling.seed == 3
    outcome = command(*arguments, "--endpoints", endpoints)
    assert "answer to q" in outcome.out


def _portfolio() -> portfolios_pb2.Portfolio:
    portfolio = portfolios_pb2.Portfolio(
        name="portfolios/tiny", state=portfolios_pb2.PORTFOLIO_STATE_READY
    )
    portfolio.spec.base_model = "base"
    portfolio.spec.traits.extend(["a", "b"])
    member = portfolio.candidates.add(
        policy="policies/x", selected=True, value={"a": 0.7, "b": 0.4}
    )
    member.weights.values["a"] = 1.0
    portfolio.candidates.add(policy="policies/y", is_base_model=True, value={"a": 0.2, "b": 0.5})
    portfolio.certificate.gap = 0.1
    portfolio.certificate.gap_weights.values.update({"a": 0.0, "b": 1.0})
    portfolio.baselines.base_model = 0.5
    portfolio.sample_answers.add(
        policy="policies/x", prompt=prompts_pb2.Prompt(text="why?"), response="because"
    )
    return portfolio


def _spec(folder: Path) -> str:
    (folder / "prompts.txt").write_text("one\ntwo\n")
    path = folder / "tiny.yaml"
    path.write_text(
        "portfolio: tiny\nbase_model: base\ntraits: [a, b]\n"
        "training_prompts: prompts.txt\nevaluation_prompts: prompts.txt\n"
        "strategy: {explicit: [{weights: {a: 1}}]}\n"
    )
    return str(path)


def test_build_stores_prompts_follows_and_prints(
    peer: Peer, command: Command, endpoints: str, tmp_path: Path
) -> None:
    peer.on(
        "CreatePromptSet",
        lambda request, context: prompts_pb2.PromptSet(
            name=f"promptSets/{len(request.prompt_set.prompts)}"
        ),
    )
    running = operations_pb2.Operation(name="operations/1")
    finished = operations_pb2.Operation(name="operations/1", done=True)
    finished.response.Pack(_portfolio())
    peer.on("BuildPortfolio", lambda request, context: running)
    peer.on("WaitOperation", lambda request, context: finished)

    def watch(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        for step in (1, 2):
            event = portfolios_pb2.BuildEvent(
                number=step,
                stage=portfolios_pb2.BUILD_STAGE_TRAINING,
                message="training 1",
                done=step,
                total=2,
                candidates_total=2,
                reward_means={"a": 0.5},
            )
            event.time.GetCurrentTime()
            yield event

    peer.on("WatchBuild", watch)
    outcome = command("portfolio", "build", _spec(tmp_path), "--endpoints", endpoints, "--json")
    assert outcome.code == 0
    assert outcome.json["name"] == "portfolios/tiny"
    assert "training 1" in outcome.err
    request = peer.requests("BuildPortfolio")[0]
    assert request.portfolio_id == "tiny"
    assert request.spec.training_prompt_set == "promptSets/2"


def test_show_prints_values_and_certificate(peer: Peer, command: Command, endpoints: str) -> None:
    peer.on("GetPortfolio", lambda request, context: _portfolio())
    outcome = command("portfolio", "show", "tiny", "--endpoints", endpoints)
    assert outcome.code == 0
    for text in ("0.700", "+0.50", "certified gap", "0.1000", "b 100%"):
        assert text in outcome.out


def test_show_tells_how_sure_the_gap_is(peer: Peer, command: Command, endpoints: str) -> None:
    portfolio = _portfolio()
    portfolio.confidence.level = 0.95
    portfolio.confidence.gap = 0.375
    portfolio.confidence.method = "hoeffding"
    portfolio.confidence.prompts = 12
    peer.on("GetPortfolio", lambda request, context: portfolio)
    shown = " ".join(command("portfolio", "show", "tiny", "--endpoints", endpoints).out.split())
    for text in ("certified gap 0.1000", "≤ 0.3750 at 95 % confidence", "12 prompts", "loose"):
        assert text in shown
    portfolio.confidence.gap = 1.0
    shown = " ".join(command("portfolio", "show", "tiny", "--endpoints", endpoints).out.split())
    assert "true gap not bounded at 95 % confidence" in shown


def test_report_writes_a_page(peer: Peer, command: Command, endpoints: str, tmp_path: Path) -> None:
    peer.on("GetPortfolio", lambda request, context: _portfolio())
    peer.on("Route", lambda request, context: selector_pb2.RouteResponse(policy="policies/x"))
    points = [portfolios_pb2.TradeoffPoint(size=1, gap=0.1, gap_lower_bound=0.1, optimal=True)]
    peer.on("TradeoffCurve", lambda *_: selector_pb2.TradeoffCurveResponse(points=points))
    outcome = command("portfolio", "report", "tiny", "--endpoints", endpoints)
    assert outcome.code == 0
    assert peer.requests("TradeoffCurve")[0].candidates.portfolio == "portfolios/tiny"
    page = (tmp_path / "tiny.html").read_text()
    assert "because" in page
    assert "What another member would buy" in page
    assert page.startswith("<!doctype html>")


def test_a_portfolio_in_the_making_is_shown_as_such(
    peer: Peer, command: Command, endpoints: str
) -> None:
    building = portfolios_pb2.Portfolio(
        name="portfolios/tiny", state=portfolios_pb2.PORTFOLIO_STATE_BUILDING
    )
    peer.on("GetPortfolio", lambda request, context: building)
    outcome = command("portfolio", "show", "tiny", "--endpoints", endpoints)
    assert (outcome.code, outcome.out.strip()) == (0, "portfolios/tiny is building")
    outcome = command("portfolio", "report", "tiny", "--endpoints", endpoints)
    assert outcome.code == 2
    assert "build it first" in outcome.err


def test_operations_of_both_services_are_listed(
    peer: Peer, command: Command, endpoints: str
) -> None:
    listed = operations_pb2.ListOperationsResponse(
        operations=[operations_pb2.Operation(name="operations/1")]
    )
    peer.on("ListOperations", lambda request, context: listed)
    outcome = command("operations", "list", "--endpoints", endpoints, "--json")
    assert [(row["kind"], row["state"]) for row in outcome.json] == [
        ("training", "running"),
        ("build", "running"),
    ]


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("from palmfolio.cli.app import run; run(['--help'])", "grpc numpy torch google.protobuf"),
        ("import palmfolio.report, palmfolio.cli.files.portfolio_spec", "grpc numpy torch"),
        ("import palmfolio; palmfolio.Client, palmfolio.AsyncClient", "numpy torch rich typer"),
        ("import palmfolio.cli.local.quickstart.run, palmfolio.cli.app", "numpy torch"),
    ],
)
def test_imports_stay_light(statement: str, absent: str) -> None:
    program = (
        f"import sys; {statement}; "
        f"print([name for name in {absent.split()!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stderr.strip() == "[]"
