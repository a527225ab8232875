from hypothesis import given
from hypothesis import strategies as st

from palmfolio_selector.builds import plan
from palmfolio_selector.builds.plan import next_actions
from palmfolio_selector.store.tables import TrainingState
from tests.support.build_world import BASE, World


@st.composite
def worlds(draw):
    count = draw(st.integers(0, 5))
    starts = [draw(st.integers(0, position)) for position in range(count)]
    failing = draw(st.sets(st.integers(1, max(1, count))))
    same = {
        position: draw(st.integers(1, position - 1))
        for position in draw(st.sets(st.integers(2, max(2, count)), max_size=2))
    }
    rounds = draw(st.integers(0, 2))
    return World(starts, failing, same, draw(st.integers(1, 4)), draw(st.integers(1, 3)), rounds)


def expected_candidates(world):
    """What can be evaluated in the end, whatever happens on the way."""
    lost = set()
    for training in world.facts.trainings:
        if training.position in world.failing or training.initial in lost:
            lost.add(training.position)
    count = len(world.facts.trainings)
    lost |= world.failing & set(range(count + 1, count + world.rounds + 1))
    kept = [p for p in range(1, count + world.rounds + 1) if p not in lost]
    return {BASE} | {f"policies/{world.same.get(position, position)}" for position in kept}


@given(worlds(), st.data())
def test_any_order_any_repetition_and_any_crash_reach_the_same_end(world, data):
    expected = expected_candidates(world)
    seen = []
    for _ in range(500):
        actions = next_actions(world.facts)
        if actions == (plan.Select(),):
            break
        assert plan.Select() not in actions
        if plan.Explore() in actions:
            assert actions == (plan.Explore(),)
            assert all(map(world.facts.evaluated, world.facts.candidates))
        seen += actions
        # An action that was begun before a crash may be performed once more, late.
        action = data.draw(st.sampled_from([*actions, *_harmless(seen)]))
        world.perform(action, share=data.draw(st.sampled_from([0.0, 0.4, 1.0])))
    assert next_actions(world.facts) == (plan.Select(),)
    assert set(world.facts.candidates) == expected
    assert all(map(world.facts.evaluated, expected))
    assert world.facts.candidates_done == world.facts.candidates_total == len(expected)


def _harmless(seen):
    return [action for action in seen if isinstance(action, plan.Submit | plan.Prepare)][-3:]


@given(worlds(), st.data())
def test_one_action_a_lane_is_enough_to_get_on(world, data):
    for _ in range(500):
        actions = next_actions(world.facts)
        if actions == (plan.Select(),):
            return
        lanes = {action.lane: action for action in reversed(actions)}
        world.perform(data.draw(st.sampled_from(list(lanes.values()))))
    raise AssertionError("the plan does not end")


def test_trainings_are_asked_for_at_once_and_the_base_model_is_evaluated_meanwhile():
    world = World([0, 0, 0], failing=set(), same={}, responses=2, traits=2)
    world.perform(plan.Prepare())
    assert next_actions(world.facts) == (
        plan.Submit(1),
        plan.Submit(2),
        plan.Submit(3),
        plan.Sample(BASE),
    )


def test_a_training_waits_for_the_one_it_starts_from():
    world = World([0, 1], failing=set(), same={}, responses=1, traits=1)
    for action in (plan.Prepare(), plan.Sample(BASE), plan.Score(BASE), plan.Submit(1)):
        world.perform(action)
    assert next_actions(world.facts) == (plan.Follow(1),)
    world.perform(plan.Follow(1))
    assert plan.Submit(2) in next_actions(world.facts)


def test_a_training_whose_start_failed_is_given_up():
    world = World([0, 1], failing={1}, same={}, responses=1, traits=1)
    for action in (plan.Prepare(), plan.Submit(1), plan.Follow(1)):
        world.perform(action)
    assert plan.Forgo(2) in next_actions(world.facts)
    world.perform(plan.Forgo(2))
    assert {t.state for t in world.facts.trainings} == {TrainingState.FAILED}


def test_responses_are_scored_while_others_are_sampled():
    world = World([], failing=set(), same={}, responses=4, traits=2)
    world.perform(plan.Prepare())
    world.perform(plan.Sample(BASE), share=0.5)
    assert next_actions(world.facts) == (plan.Sample(BASE), plan.Score(BASE))
