"""Selecting from evaluations in which some rewards are missing, over a real socket."""

import numpy as np
import pytest

from palmfolio.v1 import evaluations_pb2, prompts_pb2
from tests.integration.selector.evaluations.test_stored_evaluations import TRAITS, load, select
from tests.support.services.selector_calls import Caller


def test_policies_are_compared_on_the_prompts_that_all_have(caller: Caller) -> None:
    X = np.random.default_rng(8).random((4, 20, len(TRAITS))).round(6)
    X[1, 5, 2] = np.nan  # no reward on one trait
    X[3, :3, 0] = np.nan  # too many
    rows = [
        evaluations_pb2.ImportedEvaluation(
            policy=f"policies/part-{i}",
            prompt=prompts_pb2.Prompt(text=f"question {j}"),
            rewards=X[i, j],
        )
        for i in range(4)
        for j in range(20)
        if (i, j) != (2, 7)  # no row
    ]
    for _ in range(2):  # sending all again is harmless
        answer = load(caller, "partly", rows)
    wanted = evaluations_pb2.CandidateSet(
        evaluations=evaluations_pb2.StoredEvaluations(
            prompt_set=answer.prompt_set, traits=TRAITS, source="partly"
        )
    )
    selected = select(caller, wanted, delta=0.05)
    common = [j for j in range(20) if j not in (5, 7)]
    V = X[:3, common].mean(axis=1)
    for candidate in selected.portfolio.candidates:
        row = int(candidate.policy.rsplit("-", 1)[1])
        expected = dict(zip(TRAITS, V[row], strict=True))
        assert dict(candidate.value) == pytest.approx(expected, abs=1e-9)
    assert list(selected.incomplete_policies) == ["policies/part-3"]
    coverage = selected.portfolio.coverage
    assert (coverage.prompts, coverage.compared_prompts) == (20, 18)
    assert (coverage.responses, coverage.unscored_responses) == (60, 2)
    assert dict(coverage.unscored_by_trait) == {TRAITS[0]: 1, TRAITS[1]: 1, TRAITS[2]: 2}
    (excluded,) = coverage.excluded_policies
    assert (excluded.policy, excluded.complete_prompts) == ("policies/part-3", 17)
    assert excluded.reason == (
        f"17 of 20 prompts have every reward; {TRAITS[0]} scored 17 of 20 responses "
        "(was imported without a reward)"
    )
