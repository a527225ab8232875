"""From evaluations made elsewhere to a portfolio that routes, with nothing but the SDK."""

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import palmfolio
import palmfolio_palm as palm
from palmfolio import EvaluationImport, ImportedEvaluation, SelectionMethod, StoredEvaluations
from palmfolio.cli.render.plain import to_plain
from tests.support.services.processes import ServiceProcess

SOURCE = "sdk-study"
TRAITS = ("helpful", "brief", "kind")
POLICIES = 24
# More rows than one message of an import takes.
PROMPTS = 60
DELTA = 0.05


def make_rewards() -> np.ndarray:
    """Rewards (policies, prompts, traits) of policies that trade the traits off."""
    random = np.random.default_rng(11)
    means = random.dirichlet(np.ones(len(TRAITS)), POLICIES) ** 0.5
    noise = random.uniform(-0.05, 0.05, (POLICIES, PROMPTS, len(TRAITS)))
    return np.clip(means[:, None, :] + noise, 0, 1).round(6)


def rows_of(X: np.ndarray, prefix: str = "sdk") -> Iterator[ImportedEvaluation]:
    """A row for every policy and prompt."""
    for policy, prompts in enumerate(X):
        for prompt, rewards in enumerate(prompts):
            yield ImportedEvaluation(
                f"{prefix}-{policy}", tuple(rewards.tolist()), f"sdk question {prompt}"
            )


def index_of(policy: str) -> int:
    """A policy's position in the import."""
    return int(policy.rsplit("-", 1)[1])


@pytest.fixture(scope="module")
def client(selector_process: ServiceProcess) -> Iterator[palmfolio.Client]:
    """A client of the session's selector."""
    with palmfolio.Client(selector=selector_process.address) as client:
        yield client


@pytest.fixture(scope="module")
def rewards() -> np.ndarray:
    """What is imported."""
    return make_rewards()


@pytest.fixture(scope="module")
def imported(client: palmfolio.Client, rewards: np.ndarray) -> EvaluationImport:
    """The import."""
    return client.selector.import_evaluations(SOURCE, TRAITS, rows_of(rewards))


@pytest.fixture(scope="module")
def stored(imported: EvaluationImport) -> StoredEvaluations:
    """The imported policies as candidates."""
    return StoredEvaluations(imported.prompt_set, TRAITS, source=SOURCE)


@pytest.fixture(scope="module")
def portfolio(client: palmfolio.Client, stored: StoredEvaluations) -> palmfolio.Portfolio:
    """A stored selection of them."""
    selection = client.selector.select_portfolio(stored, delta=DELTA, portfolio_id="sdk-study")
    assert selection.incomplete_policies == ()
    return selection.portfolio


def test_every_row_is_imported_and_listed_once(
    client: palmfolio.Client, imported: EvaluationImport, rewards: np.ndarray
) -> None:
    assert (imported.rows, imported.policies) == (POLICIES * PROMPTS, POLICIES)
    listed = list(client.selector.list_evaluations(source=SOURCE))
    rewards_of = {(row.policy, str(row.prompt), row.trait): row.normalised for row in listed}
    assert len(listed) == len(rewards_of) == rewards.size
    assert rewards_of == {
        (f"policies/sdk-{i}", f"sdk question {j}", trait): rewards[i, j, k]
        for i in range(POLICIES)
        for j in range(PROMPTS)
        for k, trait in enumerate(TRAITS)
    }
    assert {(row.source, row.trait_version, row.sampling) for row in listed} == {
        (SOURCE, "imported", None)
    }
    narrowed = list(client.selector.list_evaluations(policy="sdk-3", trait="kind", source=SOURCE))
    assert {(row.policy, row.trait) for row in narrowed} == {("policies/sdk-3", "kind")}
    assert len(narrowed) == PROMPTS


def test_the_selection_is_certified_and_stored(
    client: palmfolio.Client, portfolio: palmfolio.Portfolio, rewards: np.ndarray
) -> None:
    members = sorted(index_of(member.policy) for member in portfolio.members)
    expected = palm.verify(rewards.mean(axis=1), members, 0.0, DELTA)
    assert expected.additive <= DELTA + 1e-7
    assert portfolio.certificate is not None and portfolio.confidence is not None
    assert portfolio.certificate.additive == pytest.approx(expected.additive, abs=1e-6)
    assert portfolio.confidence.prompts == PROMPTS
    # As plain data, since NaN, the gap of a base model that is not a candidate, equals nothing.
    assert to_plain(client.selector.get_portfolio("sdk-study")) == to_plain(portfolio)


def test_greedy_needs_at_least_as_many_members(
    client: palmfolio.Client, stored: StoredEvaluations, portfolio: palmfolio.Portfolio
) -> None:
    greedy = client.selector.select_portfolio(stored, delta=DELTA, method=SelectionMethod.GREEDY)
    assert greedy.portfolio.name == ""
    assert greedy.portfolio.certificate is not None
    assert greedy.portfolio.certificate.additive <= DELTA + 1e-7
    assert len(greedy.portfolio.members) >= len(portfolio.members)


def test_users_are_routed_to_their_best_member(
    client: palmfolio.Client, portfolio: palmfolio.Portfolio, rewards: np.ndarray
) -> None:
    utilities = rewards.mean(axis=1) @ [0.75, 0.0, 0.25]
    members = [index_of(member.policy) for member in portfolio.members]
    best = max(members, key=lambda row: utilities[row])
    route = client.selector.route("sdk-study", {"helpful": 3, "kind": 1})
    assert route.policy == f"policies/sdk-{best}"
    assert route.utility == pytest.approx(utilities[best], abs=1e-9)
    assert route.gap == pytest.approx(utilities.max() - utilities[best], abs=1e-9)
    assert route.gap <= DELTA + 1e-7


def test_members_are_certified_against_either_kind_of_candidates(
    client: palmfolio.Client,
    stored: StoredEvaluations,
    portfolio: palmfolio.Portfolio,
    rewards: np.ndarray,
) -> None:
    expected = palm.verify(rewards.mean(axis=1), [0, 3], 0.1, 0.1)
    candidates: tuple[str | StoredEvaluations, ...] = (stored, portfolio.name)
    for chosen_from in candidates:
        certificate = client.selector.certify_portfolio(
            chosen_from, policies=["sdk-3", "sdk-0"], epsilon=0.1, delta=0.1
        ).certificate
        assert certificate.additive == pytest.approx(expected.additive, abs=1e-6)
        assert certificate.multiplicative == pytest.approx(expected.multiplicative, abs=1e-6)


def test_the_curve_of_stored_evaluations_falls(
    client: palmfolio.Client, stored: StoredEvaluations, rewards: np.ndarray
) -> None:
    points = client.selector.tradeoff_curve(stored, max_size=3)
    V = rewards.mean(axis=1)
    assert [point.size for point in points] == [1, 2, 3]
    for point in points:
        members = [index_of(name) for name in point.policies]
        assert point.gap == pytest.approx(palm.verify(V, members).additive, abs=1e-6)
    assert points[0].gap >= points[1].gap >= points[2].gap


def test_an_unreachable_target_is_a_failed_precondition(
    client: palmfolio.Client, stored: StoredEvaluations
) -> None:
    with pytest.raises(palmfolio.FailedPrecondition) as caught:
        client.selector.select_portfolio(stored, delta=0.001, max_size=1)
    assert caught.value.reason == "TARGET_INFEASIBLE"


def test_another_reward_for_the_same_response_is_refused(
    client: palmfolio.Client, imported: EvaluationImport, rewards: np.ndarray
) -> None:
    changed = rewards.copy()
    changed[-1, -1, 0] = 0.123
    with pytest.raises(palmfolio.AlreadyExists, match=f"sdk-{POLICIES - 1}"):
        client.selector.import_evaluations(SOURCE, TRAITS, rows_of(changed))
    with pytest.raises(palmfolio.InvalidArgument) as caught:
        client.selector.import_evaluations(SOURCE, TRAITS, [])
    assert [violation.field for violation in caught.value.violations] == ["evaluations"]


async def test_asyncio_imports_the_same_and_selects_as_many(
    selector_process: ServiceProcess,
    imported: EvaluationImport,
    stored: StoredEvaluations,
    portfolio: palmfolio.Portfolio,
    rewards: np.ndarray,
) -> None:
    async with palmfolio.AsyncClient(selector=selector_process.address) as client:
        again = await client.selector.import_evaluations(SOURCE, TRAITS, rows_of(rewards))
        assert again == imported
        fields: dict[str, Any] = {
            "delta": DELTA,
            "portfolio_id": "sdk-async",
            "request_id": uuid.uuid4().hex,
        }
        selection = await client.selector.select_portfolio(stored, **fields)
        assert len(selection.portfolio.members) == len(portfolio.members)
        repeated = await client.selector.select_portfolio(stored, **fields)
        assert to_plain(repeated) == to_plain(selection)
        listed = client.selector.list_evaluations(policy="sdk-5", source=SOURCE)
        assert len([row async for row in listed]) == PROMPTS * len(TRAITS)
        changed = rewards.copy()
        changed[0, 0, 0] = 0.123
        with pytest.raises(palmfolio.AlreadyExists, match="sdk-0"):
            await client.selector.import_evaluations(SOURCE, TRAITS, rows_of(changed))
