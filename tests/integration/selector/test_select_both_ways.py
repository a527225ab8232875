"""One answer to one question: `palmfolio select` on a file, and the service's `SelectPortfolio`."""

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from palmfolio.v1 import evaluations_pb2, portfolios_pb2, prompts_pb2, selector_pb2
from palmfolio_palm import certificate_ucb
from palmfolio_palm.validation import FloatArray
from tests.support.services.selector_calls import Caller

TRAITS = ("helpful", "brief", "kind")


def front(seed: int, policies: int, traits: int) -> FloatArray:
    """Values of policies that trade the traits off."""
    return np.random.default_rng(seed).dirichlet(np.ones(traits), policies) ** 0.5


def around(V: FloatArray, seed: int, prompts: int) -> FloatArray:
    """Rewards (policies, prompts, traits) by prompt around given values."""
    noise = np.random.default_rng(seed).uniform(-0.1, 0.1, (len(V), prompts, V.shape[1]))
    return np.clip(V[:, None, :] + noise, 0, 1).round(6)


def on_the_command_line(
    path: Path, X: FloatArray, *options: str, clusters: Sequence[str] = ()
) -> Any:
    """The output of `palmfolio select` for rewards by prompt."""
    last = ["cluster"] if clusters else []
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["policy", "prompt", *TRAITS[: X.shape[2]], *last])
        for p, j in np.ndindex(X.shape[:2]):
            cells = [f"policies/x-{p}", f"prompt {j}", *map(repr, X[p, j].tolist())]
            writer.writerow([*cells, *clusters[j : j + 1]])
    program = [sys.executable, "-m", "palmfolio", "select", str(path), "--json", *options]
    return json.loads(subprocess.run(program, capture_output=True, text=True, check=True).stdout)


def by_the_service(
    caller: Caller, source: str, X: FloatArray, clusters: Sequence[str] = (), **fields: Any
) -> portfolios_pb2.Portfolio:
    """The portfolio that `SelectPortfolio` selects from the same rewards."""
    traits = TRAITS[: X.shape[2]]
    header = selector_pb2.ImportEvaluationsRequest(source=source, traits=traits)
    rows = selector_pb2.ImportEvaluationsRequest(
        evaluations=[
            evaluations_pb2.ImportedEvaluation(
                policy=f"policies/x-{p}",
                prompt=prompts_pb2.Prompt(
                    text=f"prompt {j}",
                    tags=[f"cluster={name}" for name in clusters[j : j + 1] if name],
                ),
                rewards=X[p, j],
            )
            for p, j in np.ndindex(X.shape[:2])
        ]
    )
    answer = caller.stub.ImportEvaluations(iter([header, rows]), timeout=60)
    chosen_from = evaluations_pb2.CandidateSet(
        evaluations=evaluations_pb2.StoredEvaluations(
            prompt_set=answer.prompt_set, traits=traits, source=source
        )
    )
    request = selector_pb2.SelectPortfolioRequest(candidates=chosen_from, **fields)
    return caller.stub.SelectPortfolio(request, timeout=120).portfolio


@pytest.mark.parametrize(
    ("policies", "prompts", "traits", "delta", "method"),
    [
        (4, 5, 2, 0.2, "likelihood"),
        (40, 2, 3, 0.05, "likelihood"),
        (151, 20, 2, 0.2, "likelihood"),
        (201, 20, 2, 0.2, "likelihood"),
    ],
)
def test_both_ways_give_the_same_portfolio_gap_and_bound(
    caller: Caller,
    tmp_path: Path,
    policies: int,
    prompts: int,
    traits: int,
    delta: float,
    method: Literal["likelihood"],
) -> None:
    X = around(front(0, policies, traits), 1, prompts)
    options = ("--delta", str(delta))
    printed = on_the_command_line(tmp_path / "x.csv", X, *options)
    portfolio = by_the_service(caller, f"both-ways-{policies}", X, delta=delta)
    members = [candidate.policy for candidate in portfolio.candidates if candidate.selected]
    assert sorted(printed["policies"]) == sorted(members)
    assert printed["optimal"] and portfolio.optimality.optimal
    assert printed["lower_bound"] == portfolio.optimality.size_lower_bound
    certificate = portfolio.certificate
    assert printed["gap"]["additive"] == pytest.approx(certificate.gap, abs=1e-9)
    ratio = certificate.multiplicative_gap
    assert printed["gap"]["multiplicative"] == pytest.approx(ratio, abs=1e-9)
    assert printed["gap"]["method"] == certificate.method
    assert printed["gap"]["confirmed"] and certificate.confirmed
    assert printed["confidence"]["method"] == portfolio.confidence.method == method
    assert printed["confidence"]["prompts"] == portfolio.confidence.prompts == prompts
    assert printed["confidence"]["level"] == pytest.approx(portfolio.confidence.level)
    assert printed["confidence"]["additive"] == pytest.approx(portfolio.confidence.gap, abs=1e-9)
    rows = [int(name.rsplit("-", 1)[1]) for name in members]
    expected = certificate_ucb(X, rows, 0.95, method).bound
    assert portfolio.confidence.gap == pytest.approx(expected, abs=1e-9)


def test_both_ways_count_clusters_of_prompts(caller: Caller, tmp_path: Path) -> None:
    # Ten templates of three prompts, and two prompts on their own.
    clusters = [f"t{j // 3}" for j in range(30)] + ["", ""]
    X = around(front(3, 6, 2), 4, 32)
    printed = on_the_command_line(tmp_path / "x.csv", X, "--delta", "0.2", clusters=clusters)
    bound = by_the_service(caller, "clusters", X, clusters, delta=0.2).confidence
    assert printed["confidence"]["clusters"] == bound.clusters == 12
    assert printed["confidence"]["prompts"] == bound.prompts == 32
    assert printed["confidence"]["additive"] == pytest.approx(bound.gap, abs=1e-9)
    rows = [int(name.rsplit("-", 1)[1]) for name in printed["policies"]]
    labels = [name or str(j) for j, name in enumerate(clusters)]
    expected = certificate_ucb(X, rows, 0.95, clusters=labels).bound
    assert bound.gap == pytest.approx(expected, abs=1e-9)
    assert bound.gap != pytest.approx(certificate_ucb(X, rows, 0.95).bound, abs=1e-9)


def test_neither_way_keeps_a_larger_gap_than_the_size_needs(caller: Caller, tmp_path: Path) -> None:
    # The smallest cover that the search meets first leaves a gap of 0.0493.
    X = np.repeat(front(0, 40, 3)[:, None, :].round(9), 2, axis=1)
    printed = on_the_command_line(tmp_path / "x.csv", X, "--delta", "0.05")
    portfolio = by_the_service(caller, "smallest-gap", X, delta=0.05)
    assert printed["size"] == 7
    assert printed["gap"]["additive"] == pytest.approx(0.03713, abs=2e-5)
    assert portfolio.certificate.gap == pytest.approx(printed["gap"]["additive"], abs=1e-9)
