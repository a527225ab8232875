"""Strategies that choose the weights, with real trainings."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import linprog

from palmfolio.v1 import portfolios_pb2, selector_pb2
from tests.support.services.processes import ServiceProcess
from tests.support.services.selector_calls import Caller

FloatArray = npt.NDArray[np.float64]


def strategic(caller: Caller, **fields: Any) -> portfolios_pb2.PortfolioSpec:
    """A spec without trainings of its own."""
    spec = caller.spec(**fields)
    spec.delta = 0.05
    return spec


def weights_of(portfolio: portfolios_pb2.Portfolio) -> tuple[FloatArray, FloatArray]:
    """(m, d) weights of the trained candidates, and their values."""
    traits = list(portfolio.spec.traits)
    trained = [c for c in portfolio.candidates if not c.is_base_model]
    W = np.array([[c.weights.values.get(t, 0.0) for t in traits] for c in trained])
    return W, np.array([[c.value[t] for t in traits] for c in trained])


def outer_bound(W: FloatArray, everyone: FloatArray, w: FloatArray, alpha: float) -> float:
    """The most that any policy could give w under the cuts of the trainings."""
    cuts = (W @ everyone.T).max(axis=1) / (1 - alpha)
    solved = linprog(-w, A_ub=W, b_ub=cuts, bounds=(0, 1))
    assert solved.fun is not None
    return -solved.fun


@pytest.fixture(scope="module")
def adaptive(selector_process: ServiceProcess) -> portfolios_pb2.Portfolio:
    """A portfolio of at most five trainings where they may gain most."""
    caller = Caller(selector_process.channel)
    spec = strategic(caller, max_trainings=5, alpha=0.05, seed=9)
    spec.strategy.adaptive.parallel = 2
    spec.delta = 0.0
    return caller.built("adaptive", spec)


def test_adaptive_starts_at_the_centroid_and_near_the_units(
    adaptive: portfolios_pb2.Portfolio,
) -> None:
    W, _ = weights_of(adaptive)
    for start in ([0.5, 0.5], [0.98, 0.02], [0.02, 0.98]):
        assert any(np.allclose(w, start) for w in W)


def test_adaptive_goes_on_to_its_target_or_its_budget(
    adaptive: portfolios_pb2.Portfolio, caller: Caller
) -> None:
    trainable = adaptive.trainable
    trainings = len([c for c in adaptive.candidates if not c.is_base_model])
    assert trainings + len(adaptive.failed_trainings) <= 5
    met = trainable.candidates_gap <= adaptive.spec.delta
    assert met or trainings >= 4
    messages = [event.message for event in caller.events(adaptive.operation)]
    assert any("everything trainable" in message for message in messages)


def test_the_trainable_gap_is_what_linear_programs_find(adaptive: portfolios_pb2.Portfolio) -> None:
    traits = list(adaptive.spec.traits)
    W, _ = weights_of(adaptive)
    everyone = np.array([[c.value[t] for t in traits] for c in adaptive.candidates])
    members = everyone[[c.selected for c in adaptive.candidates]]
    trainable, spec = adaptive.trainable, adaptive.spec
    assert trainable.alpha == spec.alpha == 0.05
    shares = np.linspace(0, 1, 301)
    gaps = [
        (1 - spec.epsilon) * outer_bound(W, everyone, np.array([s, 1 - s]), 0.05)
        - (members @ [s, 1 - s]).max()
        for s in shares
    ]
    # The grid of users may miss the worst one, by little.
    assert max(gaps) <= trainable.gap + 1e-6
    assert max(gaps) >= trainable.gap - 0.01
    assert trainable.target_met == (trainable.gap <= spec.delta)
    assert trainable.gap >= adaptive.certificate.additive - 1e-9


def test_the_three_figures_are_reported(adaptive: portfolios_pb2.Portfolio) -> None:
    assert adaptive.certificate.corner_weights >= 2
    assert adaptive.HasField("trainable")
    assert adaptive.confidence.level == pytest.approx(0.95)
    assert adaptive.confidence.gap >= adaptive.certificate.gap
    assert adaptive.optimality.optimal
    members = sum(c.selected for c in adaptive.candidates)
    assert adaptive.optimality.size_lower_bound == members


def test_refutations_name_a_policy_that_is_better(adaptive: portfolios_pb2.Portfolio) -> None:
    traits = list(adaptive.spec.traits)
    value = {c.policy: np.array([c.value[t] for t in traits]) for c in adaptive.candidates}
    for refutation in adaptive.trainable.refutations:
        w = np.array([refutation.weights.values.get(t, 0.0) for t in traits])
        own, better = value[refutation.policy] @ w, value[refutation.better_policy] @ w
        assert refutation.shortfall == pytest.approx(1 - own / better)
        assert refutation.shortfall > adaptive.spec.alpha


def test_uniform_trains_on_its_lattice(caller: Caller) -> None:
    spec = strategic(caller, seed=9)
    spec.strategy.uniform.resolution = 2
    spec.max_trainings = 3
    portfolio = caller.built("uniform", spec)
    W, _ = weights_of(portfolio)
    # Policies differ by their names: policies of equal value stay two candidates.
    assert sorted(map(tuple, W)) == [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)]
    assert portfolio.trainable.trainings == 3


def test_a_plan_of_adaptive_shows_what_it_begins_with(caller: Caller) -> None:
    spec = strategic(caller, max_trainings=7)
    spec.strategy.adaptive.SetInParent()
    request = selector_pb2.PlanPortfolioRequest(spec=spec)
    plan = caller.stub.PlanPortfolio(request, timeout=10)
    assert plan.trainings == 7
    assert len(plan.weights) == 3
    assert not plan.HasField("guarantee")


def test_trainings_with_a_kl_penalty_bound_nothing(caller: Caller) -> None:
    spec = strategic(caller, max_trainings=3, seed=10)
    spec.strategy.adaptive.SetInParent()
    spec.grpo.kl_coefficient = 0.1
    portfolio = caller.built("regularised", spec)
    assert portfolio.state == portfolios_pb2.PORTFOLIO_STATE_READY
    assert not portfolio.HasField("trainable")
    messages = [event.message for event in caller.events(portfolio.operation)]
    assert any("KL penalty" in message for message in messages)
