"""The plan of a build: the actions that can be done now, and the same end in any order."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from palmfolio_selector.builds import plan
from palmfolio_selector.builds.plan import next_actions
from palmfolio_selector.store.tables import TrainingState
from tests.support.build_world import BASE, World


@st.composite
def worlds(draw: st.DrawFn) -> World:
    count = draw(st.integers(0, 5))
    starts = [draw(st.integers(0, position)) for position in range(count)]
    failing = draw(st.sets(st.integers(1, max(1, count))))
    same = {
        position: draw(st.integers(1, position - 1))
        for position in draw(st.sets(st.integers(2, max(2, count)), max_size=2))
    }
    rounds = draw(st.integers(0, 2))
    responses, traits = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    policies = [BASE, *(f"policies/{position}" for position in range(1, count + 1))]
    unscorable = draw(st.sets(st.sampled_from(policies)))
    return World(starts, failing, same, responses, traits, rounds, unscorable)


def possible_candidates(world: World, *, certain: bool) -> set[str]:
    """The policies that can be candidates in the end, whatever happens on the way.

    A training that starts from a policy is lost if that policy is dropped before the training is
    submitted; the order of the actions decides.

    Args:
        certain: only those that are candidates in any order.
    """
    policy_of = {
        position: f"policies/{world.same.get(position, position)}"
        for position in range(1, len(world.facts.trainings) + world.rounds + 1)
    }
    lost: set[int] = set()
    for training in world.facts.trainings:
        start_lost = training.initial in lost
        start_dropped = policy_of.get(training.initial) in world.unscorable
        if training.position in world.failing or start_lost or (certain and start_dropped):
            lost.add(training.position)
    lost |= {position for position in policy_of if position in world.failing}
    kept = {policy for position, policy in policy_of.items() if position not in lost}
    return ({BASE} | kept) - world.unscorable


@given(worlds(), st.data())
def test_any_order_any_repetition_and_any_crash_reach_the_same_end(
    world: World, data: st.DataObject
) -> None:
    certain = possible_candidates(world, certain=True)
    possible = possible_candidates(world, certain=False)
    seen: list[plan.Action] = []
    for _ in range(500):
        actions = next_actions(world.facts)
        if actions == (plan.Select(),):
            break
        assert plan.Select() not in actions
        if plan.Explore() in actions:
            assert actions == (plan.Explore(),)
            assert all(map(world.facts.evaluated, world.facts.candidates))
            assert not world.facts.excluded & set(world.facts.candidates)
        seen += actions
        # An action that was begun before a crash may be performed once more, late.
        action = data.draw(st.sampled_from([*actions, *_harmless(seen)]))
        world.perform(action, share=data.draw(st.sampled_from([0.0, 0.4, 1.0])))
    assert next_actions(world.facts) == (plan.Select(),)
    reached = set(world.facts.candidates)
    assert certain <= reached <= possible
    assert all(map(world.facts.evaluated, reached))
    assert world.facts.candidates_done == world.facts.candidates_total == len(reached)


def _harmless(seen: list[plan.Action]) -> Sequence[plan.Action]:
    return [action for action in seen if isinstance(action, plan.Submit | plan.Prepare)][-3:]


@given(worlds(), st.data())
def test_one_action_a_lane_is_enough_to_get_on(world: World, data: st.DataObject) -> None:
    for _ in range(500):
        actions = next_actions(world.facts)
        if actions == (plan.Select(),):
            return
        lanes = {action.lane: action for action in reversed(actions)}
        world.perform(data.draw(st.sampled_from(list(lanes.values()))))
    raise AssertionError("the plan does not end")


def test_trainings_are_asked_for_at_once_and_the_base_model_is_evaluated_meanwhile() -> None:
    world = World([0, 0, 0], failing=set(), same={}, responses=2, traits=2)
    world.perform(plan.Prepare())
    assert next_actions(world.facts) == (
        plan.Submit(1),
        plan.Submit(2),
        plan.Submit(3),
        plan.Sample(BASE),
    )


def test_a_training_waits_for_the_one_it_starts_from() -> None:
    world = World([0, 1], failing=set(), same={}, responses=1, traits=1)
    for action in (plan.Prepare(), plan.Sample(BASE), plan.Score(BASE), plan.Submit(1)):
        world.perform(action)
    assert next_actions(world.facts) == (plan.Follow(1),)
    world.perform(plan.Follow(1))
    assert plan.Submit(2) in next_actions(world.facts)


def test_a_training_whose_start_failed_is_given_up() -> None:
    world = World([0, 1], failing={1}, same={}, responses=1, traits=1)
    for action in (plan.Prepare(), plan.Submit(1), plan.Follow(1)):
        world.perform(action)
    assert plan.GiveUp(2) in next_actions(world.facts)
    world.perform(plan.GiveUp(2))
    assert {t.state for t in world.facts.trainings} == {TrainingState.FAILED}


def test_responses_are_scored_while_others_are_sampled() -> None:
    world = World([], failing=set(), same={}, responses=4, traits=2)
    world.perform(plan.Prepare())
    world.perform(plan.Sample(BASE), share=0.5)
    assert next_actions(world.facts) == (plan.Sample(BASE), plan.Score(BASE))


def test_a_policy_whose_responses_cannot_be_scored_is_dropped_before_anything_is_selected() -> None:
    lost = "policies/1"
    world = World([0, 0], set(), {}, responses=4, traits=2, unscorable={lost})
    dropped = []
    while (actions := next_actions(world.facts)) != (plan.Select(),):
        dropped += [action for action in actions if isinstance(action, plan.Drop)]
        world.perform(actions[0])
    assert dropped
    assert set(dropped) == {plan.Drop(lost)}
    assert world.facts.candidates == (BASE, "policies/2")
