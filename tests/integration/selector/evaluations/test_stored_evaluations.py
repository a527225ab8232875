"""Selecting from evaluations that were made elsewhere, over a real socket."""

import functools
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest
from google.rpc import error_details_pb2

import palmfolio_palm as palm
from palmfolio.v1 import evaluations_pb2, portfolios_pb2, prompts_pb2, selector_pb2, types_pb2
from tests.support.services.processes import ServiceProcess
from tests.support.services.selector_calls import Caller, refused

TRAITS = ("helpful", "brief", "kind")
PROMPTS = [f"question {index}" for index in range(6)]
COUNT = 12
Row = evaluations_pb2.ImportedEvaluation
Imported = tuple[npt.NDArray[np.float64], evaluations_pb2.CandidateSet]


def make_rewards(seed: int = 0) -> npt.NDArray[np.float64]:
    """Rewards (policies, prompts, traits) of policies that trade the traits off."""
    random = np.random.default_rng(seed)
    means = random.dirichlet(np.ones(len(TRAITS)), COUNT) ** 0.5
    noise = random.uniform(-0.05, 0.05, (COUNT, len(PROMPTS), len(TRAITS)))
    return np.clip(means[:, None, :] + noise, 0, 1).round(6)


def rows_of(X: npt.NDArray[np.float64], prefix: str) -> list[Row]:
    """A row for every policy and prompt."""
    return [
        evaluations_pb2.ImportedEvaluation(
            policy=f"policies/{prefix}-{policy}",
            prompt=prompts_pb2.Prompt(text=PROMPTS[prompt]),
            rewards=X[policy, prompt],
        )
        for policy in range(X.shape[0])
        for prompt in range(X.shape[1])
    ]


def messages(
    source: str, rows: list[Row], size: int = 10, **header: str
) -> Iterator[selector_pb2.ImportEvaluationsRequest]:
    """The stream of an import: the header comes once."""
    for start in range(0, max(1, len(rows)), size):
        message = selector_pb2.ImportEvaluationsRequest(evaluations=rows[start : start + size])
        if start == 0:
            message.source = source
            message.traits.extend(TRAITS)
            message.trait_versions.update(header)
        yield message


def load(
    caller: Caller, source: str, rows: list[Row], **header: str
) -> selector_pb2.ImportEvaluationsResponse:
    """Imports rows."""
    return caller.stub.ImportEvaluations(messages(source, rows, 10, **header), timeout=60)


@pytest.fixture(scope="module")
def imported(selector_process: ServiceProcess) -> Imported:
    """An import of twelve policies: their rewards and the candidate set of them."""
    X = make_rewards()
    caller = Caller(selector_process.channel)
    answer = load(caller, "study", rows_of(X, "s"))
    assert (answer.rows, answer.policies) == (COUNT * len(PROMPTS), COUNT)
    chosen_from = evaluations_pb2.CandidateSet(
        evaluations=evaluations_pb2.StoredEvaluations(
            prompt_set=answer.prompt_set, traits=TRAITS, source="study"
        )
    )
    return X, chosen_from


def select(
    caller: Caller, chosen_from: evaluations_pb2.CandidateSet, **fields: Any
) -> selector_pb2.SelectPortfolioResponse:
    """Selects from a candidate set."""
    request = selector_pb2.SelectPortfolioRequest(candidates=chosen_from, **fields)
    return caller.stub.SelectPortfolio(request, timeout=60)


def rows_in(portfolio: portfolios_pb2.Portfolio, members_only: bool = True) -> list[int]:
    """Positions of a portfolio's candidates in the import."""
    return [
        int(c.policy.rsplit("-", 1)[1])
        for c in portfolio.candidates
        if c.selected or not members_only
    ]


def test_the_selection_is_certified_on_the_means(imported: Imported, caller: Caller) -> None:
    X, chosen_from = imported
    portfolio = select(caller, chosen_from, epsilon=0.02, delta=0.05).portfolio
    V = X.mean(axis=1)
    for candidate, row in zip(portfolio.candidates, rows_in(portfolio, False), strict=True):
        assert [candidate.value[t] for t in TRAITS] == pytest.approx(list(V[row]), abs=1e-9)
    expected = palm.verify(V, rows_in(portfolio), 0.02, 0.05)
    assert expected.additive <= 0.05 + 1e-7
    assert portfolio.certificate.additive == pytest.approx(expected.additive, abs=1e-6)
    assert portfolio.name == ""
    assert portfolio.source == "study"
    assert dict(portfolio.trait_versions) == dict.fromkeys(TRAITS, "imported")


def test_the_confidence_bound_is_above_the_gap(imported: Imported, caller: Caller) -> None:
    _, chosen_from = imported
    portfolio = select(caller, chosen_from, delta=0.05).portfolio
    assert portfolio.confidence.prompts == len(PROMPTS)
    assert portfolio.confidence.level == pytest.approx(0.95)
    assert portfolio.confidence.gap >= portfolio.certificate.gap


def test_a_stored_selection_routes(imported: Imported, caller: Caller) -> None:
    X, chosen_from = imported
    fields = {"delta": 0.05, "portfolio_id": "from-study", "request_id": uuid.uuid4().hex}
    portfolio = select(caller, chosen_from, **fields).portfolio
    assert portfolio.name == "portfolios/from-study"
    assert select(caller, chosen_from, **fields).portfolio == portfolio
    assert caller.portfolio("from-study") == portfolio
    weights = types_pb2.Weights(values={"helpful": 1, "kind": 1})
    request = selector_pb2.RouteRequest(portfolio=portfolio.name, weights=weights)
    utilities = X.mean(axis=1) @ [0.5, 0, 0.5]
    best = max(rows_in(portfolio), key=lambda row: utilities[row])
    answer = caller.stub.Route(request, timeout=5)
    assert answer.policy == f"policies/s-{best}"
    assert answer.gap == pytest.approx(utilities.max() - utilities[best], abs=1e-9)
    code, message, _ = refused(
        lambda: select(caller, chosen_from, **{**fields, "request_id": uuid.uuid4().hex})
    )
    assert code is grpc.StatusCode.ALREADY_EXISTS and "from-study" in message


def test_a_portfolio_can_be_selected_from_again(imported: Imported, caller: Caller) -> None:
    _, chosen_from = imported
    select(caller, chosen_from, delta=0.02, portfolio_id="wide", request_id=uuid.uuid4().hex)
    again = evaluations_pb2.CandidateSet(portfolio="portfolios/wide")
    narrow = select(caller, again, delta=0.2).portfolio
    direct = select(caller, chosen_from, delta=0.2).portfolio
    assert narrow.certificate.additive <= 0.2
    assert len(rows_in(narrow)) == len(rows_in(direct))


def test_a_target_that_the_size_cannot_meet_names_the_weights(
    imported: Imported, caller: Caller
) -> None:
    X, chosen_from = imported
    code, _, details = refused(lambda: select(caller, chosen_from, delta=0.001, max_size=1))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    info = error_details_pb2.ErrorInfo.FromString(details["ErrorInfo"])
    assert info.reason == "TARGET_INFEASIBLE"
    weights = dict(pair.split("=") for pair in info.metadata["weights"].split(", "))
    w = np.array([float(weights[trait]) for trait in TRAITS])
    utilities = X.mean(axis=1) @ w
    # A single policy's worst user cares about one trait, and this is the least bad of them.
    single = (X.mean(axis=1).max(axis=0) - X.mean(axis=1)).max(axis=1).min()
    assert float(info.metadata["best_gap"]) == pytest.approx(single, abs=1e-6)
    assert single <= utilities.max() - utilities.min() + 1e-9


def test_members_are_certified_against_the_candidates(imported: Imported, caller: Caller) -> None:
    X, chosen_from = imported
    request = selector_pb2.CertifyPortfolioRequest(
        candidates=chosen_from, policies=["policies/s-3", "policies/s-0"], epsilon=0.1, delta=0.1
    )
    answer = caller.stub.CertifyPortfolio(request, timeout=30)
    expected = palm.verify(X.mean(axis=1), [0, 3], 0.1, 0.1)
    assert answer.certificate.additive == pytest.approx(expected.additive, abs=1e-6)
    assert answer.certificate.multiplicative == pytest.approx(expected.multiplicative, abs=1e-6)
    assert answer.confidence.gap >= answer.certificate.gap
    request.policies.append("policies/unknown")
    code, message, _ = refused(lambda: caller.stub.CertifyPortfolio(request, timeout=30))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "policies[2]" in message


def test_the_curve_falls_and_every_point_is_what_it_says(
    imported: Imported, caller: Caller
) -> None:
    X, chosen_from = imported
    request = selector_pb2.TradeoffCurveRequest(candidates=chosen_from, max_size=5)
    points = caller.stub.TradeoffCurve(request, timeout=60).points
    assert [point.size for point in points] == list(range(1, len(points) + 1))
    gaps = [point.gap for point in points]
    assert gaps == sorted(gaps, reverse=True)
    V = X.mean(axis=1)
    singles = (V.max(axis=0) - V).max(axis=1)
    assert gaps[0] == pytest.approx(singles.min(), abs=1e-6)
    for point in points:
        rows = [int(name.rsplit("-", 1)[1]) for name in point.policies]
        assert len(rows) <= point.size
        assert point.gap == pytest.approx(palm.verify(V, rows).additive, abs=1e-6)
        assert point.gap_lower_bound <= point.gap + 1e-9


def test_every_reward_is_listed_once(imported: Imported, caller: Caller) -> None:
    X, _ = imported
    seen = {}
    token = ""
    while True:
        request = selector_pb2.ListEvaluationsRequest(
            source="study", policy="policies/s-4", page_size=5, page_token=token
        )
        page = caller.stub.ListEvaluations(request, timeout=10)
        for row in page.evaluations:
            assert row.source == "study" and not row.HasField("sampling")
            seen[row.prompt.text, row.trait] = row.normalised
        token = page.next_page_token
        if not token:
            break
    assert seen == {
        (PROMPTS[j], TRAITS[k]): X[4, j, k] for j in range(len(PROMPTS)) for k in range(3)
    }


def test_importing_again_changes_nothing_and_another_value_is_refused(
    imported: Imported, caller: Caller
) -> None:
    X, _ = imported
    rows = rows_of(X, "s")
    assert load(caller, "study", rows).rows == len(rows)
    rows[7].rewards[1] = 0.123
    code, message, _ = refused(lambda: load(caller, "study", rows))
    assert code is grpc.StatusCode.ALREADY_EXISTS
    assert rows[7].policy in message and "brief" in message


def test_sources_and_versions_never_mix(imported: Imported, caller: Caller) -> None:
    other = make_rewards(seed=1)
    load(caller, "other-study", rows_of(other, "s"))
    X, chosen_from = imported
    rescored = X.copy()
    rescored[:, :, TRAITS.index("brief")] = other[:, :, TRAITS.index("brief")]
    newer = load(caller, "study", rows_of(rescored, "s"), brief="2")
    # The trait now has two versions, so the request must name one.
    code, message, _ = refused(lambda: select(caller, chosen_from, delta=0.1))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "trait_versions[brief]" in message
    for version, column in (("imported", X), ("2", rescored)):
        wanted = evaluations_pb2.CandidateSet()
        wanted.CopyFrom(chosen_from)
        wanted.evaluations.trait_versions["brief"] = version
        portfolio = select(caller, wanted, delta=0.1).portfolio
        for candidate, row in zip(portfolio.candidates, rows_in(portfolio, False), strict=True):
            expected = column.mean(axis=1)[row, TRAITS.index("brief")]
            assert candidate.value["brief"] == pytest.approx(expected, abs=1e-9)
    assert newer.prompt_set == chosen_from.evaluations.prompt_set


def test_policies_that_lack_rewards_are_left_out_or_named(caller: Caller) -> None:
    rows = rows_of(make_rewards(seed=2), "gap")
    del rows[3 * len(PROMPTS) + 2]
    answer = load(caller, "gaps", rows)
    wanted = evaluations_pb2.StoredEvaluations(
        prompt_set=answer.prompt_set, traits=TRAITS, source="gaps"
    )
    selected = select(caller, evaluations_pb2.CandidateSet(evaluations=wanted), delta=0.1)
    assert list(selected.incomplete_policies) == ["policies/gap-3"]
    assert 3 not in rows_in(selected.portfolio, members_only=False)
    wanted.policies.extend(["policies/gap-1", "policies/gap-3"])
    code, message, _ = refused(
        lambda: select(caller, evaluations_pb2.CandidateSet(evaluations=wanted), delta=0.1)
    )
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "policies/gap-3" in message


def test_values_without_prompts_can_be_imported(caller: Caller) -> None:
    V = make_rewards(seed=3).mean(axis=1).round(6)
    rows = [
        evaluations_pb2.ImportedEvaluation(policy=f"policies/mean-{i}", rewards=V[i])
        for i in range(COUNT)
    ]
    answer = load(caller, "means-only", rows)
    wanted = evaluations_pb2.StoredEvaluations(
        prompt_set=answer.prompt_set, traits=TRAITS, source="means-only"
    )
    portfolio = select(
        caller, evaluations_pb2.CandidateSet(evaluations=wanted), delta=0.05
    ).portfolio
    expected = palm.verify(V, rows_in(portfolio), 0, 0.05)
    assert portfolio.certificate.additive == pytest.approx(expected.additive, abs=1e-6)
    assert not portfolio.HasField("confidence")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"policy": "nobody"}, "evaluations[0].policy"),
        ({"rewards": [0.5, 0.5]}, "evaluations[0].rewards"),
        ({"rewards": [0.5, 0.5, 1.5]}, "evaluations[0].rewards[2]"),
        ({"rewards": [0.5, float("inf"), 0.5]}, "evaluations[0].rewards[1]"),
        ({"sample": -1}, "evaluations[0].sample"),
        ({"prompt": {"text": "x" * 40_000}}, "evaluations[0].prompt"),
    ],
)
def test_bad_rows_are_named(caller: Caller, change: dict[str, Any], field: str) -> None:
    row = {"policy": "policies/bad", "prompt": {"text": "?"}, "rewards": [0.1, 0.2, 0.3], **change}
    rows = [evaluations_pb2.ImportedEvaluation(**row)]
    code, _, details = refused(lambda: load(caller, "bad-rows", rows))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    violations = error_details_pb2.BadRequest.FromString(details["BadRequest"]).field_violations
    assert [violation.field for violation in violations] == [field]


def test_a_bad_row_is_counted_over_the_whole_stream(caller: Caller) -> None:
    rows = [
        evaluations_pb2.ImportedEvaluation(
            policy="policies/p", prompt=prompts_pb2.Prompt(text=str(i)), rewards=[0.1, 0.2, r]
        )
        for i, r in enumerate([0.3, 0.3, 0.3, 1.5])
    ]
    first = selector_pb2.ImportEvaluationsRequest(source="counted", traits=TRAITS)
    first.evaluations.extend(rows[:3])
    second = selector_pb2.ImportEvaluationsRequest(evaluations=rows[3:])
    _, _, details = refused(lambda: caller.stub.ImportEvaluations(iter([first, second])))
    violations = error_details_pb2.BadRequest.FromString(details["BadRequest"]).field_violations
    assert [violation.field for violation in violations] == ["evaluations[3].rewards[2]"]


def test_an_import_needs_rows_a_source_and_traits(caller: Caller) -> None:
    assert "evaluations" in refused(lambda: load(caller, "empty", []))[1]
    assert "source" in refused(lambda: load(caller, "", []))[1]
    headless = selector_pb2.ImportEvaluationsRequest(source="headless")
    code, message, _ = refused(lambda: caller.stub.ImportEvaluations(iter([headless])))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "traits" in message


def test_what_is_chosen_from_must_exist(caller: Caller) -> None:
    missing = evaluations_pb2.StoredEvaluations(
        prompt_set="promptSets/" + "0" * 32, traits=TRAITS, source="study"
    )
    calls = [
        (evaluations_pb2.CandidateSet(), grpc.StatusCode.INVALID_ARGUMENT, "candidates"),
        (
            evaluations_pb2.CandidateSet(portfolio="portfolios/nothing"),
            grpc.StatusCode.NOT_FOUND,
            "portfolios/nothing",
        ),
        (
            evaluations_pb2.CandidateSet(evaluations=missing),
            grpc.StatusCode.NOT_FOUND,
            missing.prompt_set,
        ),
    ]
    for chosen_from, expected, named in calls:
        code, message, _ = refused(functools.partial(select, caller, chosen_from))
        assert code is expected and named in message


def test_a_plan_says_what_a_build_would_train(caller: Caller) -> None:
    spec = caller.spec({"brevity": 1.0}, {"warmth": 1.0}, seed=4711)
    request = selector_pb2.PlanPortfolioRequest(spec=spec)
    plan = caller.stub.PlanPortfolio(request, timeout=10)
    assert plan.trainings == 2 and plan.trainings_reused == 0
    assert [w.values["brevity"] for w in plan.weights] == [1.0, 0.0]
    assert plan.responses == 3 * 3 * 2
    assert not plan.HasField("guarantee")
    caller.built("planned", spec)
    assert caller.stub.PlanPortfolio(request, timeout=10).trainings_reused == 2


def test_a_plan_over_the_budget_is_told_not_refused(caller: Caller) -> None:
    spec = caller.spec({"brevity": 1.0})
    spec.strategy.grid.SetInParent()
    spec.epsilon = spec.delta = 0.05
    spec.max_trainings = 5
    plan = caller.stub.PlanPortfolio(selector_pb2.PlanPortfolioRequest(spec=spec), timeout=10)
    assert plan.trainings == palm.grid_size(2, 0.05, 0.05) > plan.trainings_allowed == 5
    assert plan.guarantee.epsilon == pytest.approx(1 - 0.95**2)
    assert plan.guarantee.delta == pytest.approx(0.95 * 0.05 + 0.05)
    code, _, details = refused(lambda: caller.build("over-budget", spec))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    info = error_details_pb2.ErrorInfo.FromString(details["ErrorInfo"])
    assert info.reason == "TOO_MANY_TRAININGS"
