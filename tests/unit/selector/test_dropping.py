"""A policy of which too few responses could be scored is dropped by an action, never by a read."""

from collections.abc import Callable

from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2, selector_pb2, trainer_pb2, types_pb2
from palmfolio_runtime import operations
from palmfolio_runtime.database import Database
from palmfolio_runtime.limits import SelectorLimits
from palmfolio_runtime.prompts import Prompt
from palmfolio_selector.builds import plan, state
from palmfolio_selector.builds.actions import evaluate, explore
from palmfolio_selector.builds.context import BuildContext, ServerParts
from palmfolio_selector.domain.spec import canonical_spec
from palmfolio_selector.store import (
    builds,
    evaluations,
    measurement,
    policies,
    portfolios,
    prompt_sets,
)
from palmfolio_selector.store.evaluations import Reward
from palmfolio_selector.store.tables import TrainingState

TRAITS = ["brevity", "warmth"]
PROMPTS = [Prompt.of_text(f"question {index}") for index in range(10)]
BASE, GOOD, BAD = "policies/base", "policies/good", "policies/bad"
# Of ten responses, on the trait `warmth`.
FAILURES = {BASE: 1, GOOD: 0, BAD: 2}


def make_spec(prompt_set: str) -> portfolios_pb2.PortfolioSpec:
    """Two trainings, evaluated on ten prompts."""
    spec = portfolios_pb2.PortfolioSpec(
        base_model="tiny",
        traits=TRAITS,
        training_prompt_set=prompt_set,
        evaluation_prompt_set=prompt_set,
    )
    for weights in ({"brevity": 1.0}, {"warmth": 1.0}):
        spec.strategy.explicit.trainings.add(weights=types_pb2.Weights(values=weights))
    return canonical_spec(spec, SelectorLimits())


def store_build(session: Session) -> tuple[str, portfolios_pb2.PortfolioSpec]:
    """A build whose policies are trained, sampled and scored; its operation and spec."""
    spec = make_spec(f"promptSets/{prompt_sets.add(session, PROMPTS, '').id}")
    request = selector_pb2.BuildPortfolioRequest(request_id="1", portfolio_id="p", spec=spec)
    operation, _ = builds.begin(session, request, spec, 2)
    row = portfolios.get(session, "p")
    row.trait_versions = dict.fromkeys(TRAITS, "1")
    row.base_policy = BASE
    measurement.ensure(session, row)
    for training, policy in zip(portfolios.trainings(session, "p"), (GOOD, BAD), strict=True):
        training.state, training.policy = TrainingState.READY, policy
    for policy, failures in FAILURES.items():
        store_rewards(session, policy, failures)
    return operation.id, spec


def store_rewards(session: Session, policy: str, failures: int) -> None:
    """All responses and rewards of a policy, of which `failures` failed on `warmth`."""
    measured_by = state.measurement_of(session, "p")
    key = policies.remember(session, trainer_pb2.Policy(name=policy)).key
    keys = prompt_sets.ensure_prompts(session, PROMPTS)
    prompts = [keys[prompt.digest] for prompt in PROMPTS]
    responses = [(prompt, 0, "answer") for prompt in prompts]
    evaluations.add_responses(session, key, measured_by.sampling, responses)
    rewards = [Reward(prompt, 0, measured_by.traits["brevity"], 0.5, 0.5) for prompt in prompts]
    for index, prompt in enumerate(prompts):
        value = None if index < failures else 0.25
        failure = "is too short" if value is None else ""
        rewards.append(Reward(prompt, 0, measured_by.traits["warmth"], value, value, failure))
    evaluations.add_rewards(session, key, measured_by.sampling, rewards)


async def make_context(parts: ServerParts) -> BuildContext:
    """The build above, with its facts."""
    operation, spec = await parts.database.run(store_build)
    context = BuildContext(parts, "p", operation, spec, lambda _: None)
    context.facts = await context.read(state.read, "p")
    return context


def messages_of(operation: str) -> Callable[[Session], list[str]]:
    """Reads the messages of a build's events."""

    def read(session: Session) -> list[str]:
        events, _ = operations.events_after(session, operation, 0)
        return [portfolios_pb2.BuildEvent.FromString(event.payload).message for event in events]

    return read


async def test_only_a_policy_below_nine_tenths_is_dropped(parts: ServerParts) -> None:
    context = await make_context(parts)
    assert context.facts is not None
    assert plan.next_actions(context.facts) == (plan.Drop(BAD),)


async def test_dropping_fails_the_training_and_tells_why(
    parts: ServerParts, database: Database
) -> None:
    context = await make_context(parts)
    await evaluate.drop(context, BAD)
    facts = await context.read(state.read, "p")
    assert facts.candidates == (BASE, GOOD)
    assert [training.state for training in facts.trainings] == [
        TrainingState.READY,
        TrainingState.FAILED,
    ]
    assert plan.next_actions(facts) == (plan.Select(),)
    (message,) = await database.run(messages_of(context.operation))
    assert message == (
        "the policy is not a candidate: 8 of 10 prompts have every reward; "
        "warmth scored 8 of 10 responses (is too short)"
    )


async def test_dropping_again_after_a_crash_changes_nothing_more(parts: ServerParts) -> None:
    context = await make_context(parts)
    await evaluate.drop(context, BAD)
    before = await context.read(state.read, "p")
    await evaluate.drop(context, BAD)
    assert await context.read(state.read, "p") == before


async def test_a_policy_that_is_scored_well_enough_is_not_dropped(parts: ServerParts) -> None:
    context = await make_context(parts)
    await evaluate.drop(context, BASE)
    assert (await context.read(state.read, "p")).base_policy == BASE


async def test_reading_the_values_drops_nothing_and_reports_nothing(
    parts: ServerParts, database: Database
) -> None:
    context = await make_context(parts)
    before = await context.read(state.read, "p")
    results = [await context.read(explore.read, context) for _ in range(2)]
    # What lacks too much is not compared, also before it is dropped.
    assert all(result is not None and result.values.names == (BASE, GOOD) for result in results)
    assert await context.read(state.read, "p") == before
    assert await database.run(messages_of(context.operation)) == []


async def test_the_others_are_compared_on_the_prompts_that_all_have(parts: ServerParts) -> None:
    context = await make_context(parts)
    await evaluate.drop(context, BAD)
    results = await context.read(explore.read, context)
    assert results is not None and results.rewards is not None
    coverage = results.values.coverage
    assert coverage is not None
    assert (coverage.prompts, coverage.compared, results.prompts) == (10, 9, 9)
    assert (coverage.responses, coverage.unscored) == (20, 1)
    assert coverage.unscored_by_trait == {"warmth": 1}
    (excluded,) = coverage.excluded
    assert (excluded.policy, excluded.complete) == (BAD, 8)
    assert results.rewards.X.shape == (2, 9, 2)
    assert results.rewards.X.mean(axis=1).tolist() == results.values.V.tolist() == [[0.5, 0.25]] * 2
