"""Traits that compare with a reference need one in every prompt before anything is trained."""

import pytest
from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2, scorer_pb2, types_pb2
from palmfolio_runtime.database import Database
from palmfolio_runtime.prompts import Prompt
from palmfolio_selector.builds import references
from palmfolio_selector.store import prompt_sets

TRAITS = {
    "brief": scorer_pb2.Trait(name="traits/brief", fields=["response"]),
    "correct": scorer_pb2.Trait(name="traits/correct", fields=["reference", "response"]),
    "exact": scorer_pb2.Trait(name="traits/exact", fields=["reference", "response"]),
}
COMPLETE = [Prompt.of_text("2 + 2?", "4")]
LACKING = [*COMPLETE, *(Prompt.of_text(f"{n} + {n}?") for n in range(4)), Prompt.of_text("?", " ")]


def find(
    session: Session,
    training: list[Prompt],
    evaluation: list[Prompt],
    traits: tuple[str, ...] = ("brief", "correct"),
    weights: dict[str, float] | None = None,
) -> list[str]:
    """The message of the problem, by line; none without a problem."""
    spec = portfolios_pb2.PortfolioSpec(
        traits=traits,
        training_prompt_set=f"promptSets/{prompt_sets.add(session, training, '').id}",
        evaluation_prompt_set=f"promptSets/{prompt_sets.add(session, evaluation, '').id}",
    )
    if weights is None:
        spec.strategy.adaptive.SetInParent()
    else:
        spec.strategy.explicit.trainings.add(weights=types_pb2.Weights(values=weights))
    problem = references.problem(session, spec, TRAITS)
    return [] if problem is None else str(problem).split("spec.")[1:]


async def test_complete_prompts_are_fine(database: Database) -> None:
    assert await database.run(find, COMPLETE, COMPLETE) == []


async def test_traits_without_references_need_none(database: Database) -> None:
    assert await database.run(find, LACKING, LACKING, ("brief",)) == []


async def test_trait_and_prompts_are_named(database: Database) -> None:
    training, evaluation = await database.run(find, LACKING, LACKING[:2])
    assert training.startswith("training_prompt_set")
    assert "trait correct compares with a reference" in training
    assert "prompts[1] '0 + 0?', prompts[2] '1 + 1?', prompts[3] '2 + 2?', and 2 more" in training
    assert evaluation.startswith("evaluation_prompt_set")
    assert "prompts[1] '0 + 0?'; give" in evaluation


async def test_several_traits_are_named(database: Database) -> None:
    (evaluation,) = await database.run(find, COMPLETE, LACKING, ("brief", "correct", "exact"))
    assert "traits correct, exact compare with a reference" in evaluation


@pytest.mark.parametrize(("weight", "count"), [(0.0, 0), (0.5, 1)])
async def test_a_trait_that_is_not_trained_needs_no_training_reference(
    database: Database, weight: float, count: int
) -> None:
    weights = {"brief": 1.0 - weight, "correct": weight}
    found = await database.run(find, LACKING, COMPLETE, ("brief", "correct"), weights)
    assert len(found) == count
