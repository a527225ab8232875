import uuid

import grpc
import numpy as np
import numpy.typing as npt
import pytest
from google.rpc import code_pb2, error_details_pb2

import palmfolio_palm as palm
from palmfolio.v1 import portfolios_pb2, selector_pb2, types_pb2
from tests.support.services.processes import ServiceProcess
from tests.support.services.selector_calls import EVALUATION, Caller, comparable, refused

WEIGHTS = ({"brevity": 1.0}, {"warmth": 1.0}, {"brevity": 1.0, "warmth": 1.0})


@pytest.fixture(scope="module")
def portfolio(selector_process: ServiceProcess) -> portfolios_pb2.Portfolio:
    """A portfolio of three trained policies and the base model."""
    caller = Caller(selector_process.channel)
    return caller.built("three", caller.spec(*WEIGHTS))


def values_of(portfolio: portfolios_pb2.Portfolio) -> npt.NDArray[np.float64]:
    return np.array([[c.value[t] for t in portfolio.spec.traits] for c in portfolio.candidates])


def test_every_policy_is_measured_and_the_base_model_with_them(
    portfolio: portfolios_pb2.Portfolio,
) -> None:
    assert portfolio.state == portfolios_pb2.PORTFOLIO_STATE_READY
    assert len(portfolio.candidates) == 4
    assert [c.is_base_model for c in portfolio.candidates].count(True) == 1
    for candidate in portfolio.candidates:
        assert set(candidate.value) == {"brevity", "warmth"}
        assert bool(candidate.adapter) != candidate.is_base_model
        assert candidate.HasField("weights") != candidate.is_base_model


def test_members_come_first_and_their_answers_are_shown(
    portfolio: portfolios_pb2.Portfolio,
) -> None:
    selected = [c.selected for c in portfolio.candidates]
    assert selected == sorted(selected, reverse=True) and selected[0]
    members = {c.policy for c in portfolio.candidates if c.selected}
    assert {a.policy for a in portfolio.sample_answers} == members
    assert {a.prompt.text for a in portfolio.sample_answers} == set(EVALUATION)


def test_the_members_answers_are_compared(
    portfolio: portfolios_pb2.Portfolio, caller: Caller
) -> None:
    """With those of two other portfolios of the size; the scorer has no embedding trait."""
    measured = portfolio.output_diversity
    # Three prompts with two samples each.
    assert (measured.groups, measured.random_draws) == (6, 8)
    members = [c.policy for c in portfolio.candidates if c.selected]
    assert sorted(measured.portfolio.policies) == sorted(members)
    assert len(measured.uniform.policies) == len(members)
    for figures in (measured.portfolio, measured.uniform, measured.random):
        assert len(figures.distinct) == 4
        assert not figures.HasField("embedding_distance")
    assert measured.embedding_problem and not measured.embedding_trait
    assert caller.portfolio("three").output_diversity == measured


def test_a_stored_selection_is_compared_and_a_preview_is_not(
    portfolio: portfolios_pb2.Portfolio, caller: Caller
) -> None:
    request = selector_pb2.SelectPortfolioRequest(max_size=1)
    request.candidates.portfolio = portfolio.name
    preview = caller.stub.SelectPortfolio(request, timeout=60).portfolio
    assert not preview.HasField("output_diversity")
    request.portfolio_id, request.request_id = "three-selected", uuid.uuid4().hex
    stored = caller.stub.SelectPortfolio(request, timeout=60).portfolio
    assert stored.output_diversity.groups == 6
    assert len(stored.output_diversity.portfolio.policies) == 1
    assert caller.portfolio("three-selected").output_diversity == stored.output_diversity


def test_the_certificate_is_what_linear_programs_find(portfolio: portfolios_pb2.Portfolio) -> None:
    V = values_of(portfolio)
    members = [i for i, c in enumerate(portfolio.candidates) if c.selected]
    spec, certificate = portfolio.spec, portfolio.certificate
    expected = palm.verify(V, members, spec.epsilon, spec.delta)
    assert certificate.additive == pytest.approx(expected.additive, abs=1e-6)
    assert certificate.multiplicative == pytest.approx(expected.multiplicative, abs=1e-6)
    assert certificate.gap == pytest.approx(palm.verify(V, members).additive, abs=1e-6)
    assert certificate.additive <= spec.delta + 1e-9


def test_values_are_the_means_of_the_scorers_rewards(
    portfolio: portfolios_pb2.Portfolio, scorer_process: ServiceProcess
) -> None:
    """The scorer gives the shown answers the same rewards again."""
    from palmfolio.v1 import scorer_pb2, scorer_pb2_grpc

    answers = list(portfolio.sample_answers)
    samples = [scorer_pb2.Sample(prompt=a.prompt, response=a.response) for a in answers]
    request = scorer_pb2.ScoreRequest(samples=samples, traits=["brevity", "warmth"])
    rewards = scorer_pb2_grpc.ScorerStub(scorer_process.channel).Score(request, timeout=30).rewards
    again = np.array(rewards.normalised).reshape(len(answers), 2)
    stored = np.array([[a.rewards["brevity"], a.rewards["warmth"]] for a in answers])
    assert np.allclose(again, stored, atol=1e-6)


def test_a_second_portfolio_reuses_every_training_and_evaluation(
    portfolio: portfolios_pb2.Portfolio, caller: Caller
) -> None:
    spec = caller.spec(*WEIGHTS)
    again = caller.built("three-again", spec)
    assert comparable(again) == comparable(portfolio)
    stages = {event.stage for event in caller.events(again.operation)}
    assert portfolios_pb2.BUILD_STAGE_SAMPLING not in stages
    assert portfolios_pb2.BUILD_STAGE_SCORING not in stages


def test_the_same_spec_under_the_same_id_is_the_same_operation(
    portfolio: portfolios_pb2.Portfolio, caller: Caller
) -> None:
    assert caller.build("three", caller.spec(*WEIGHTS)).name == portfolio.operation


def test_another_spec_under_the_same_id_is_refused(
    portfolio: portfolios_pb2.Portfolio, caller: Caller
) -> None:
    code, message, _ = refused(lambda: caller.build("three", caller.spec(*WEIGHTS[:2])))
    assert code is grpc.StatusCode.ALREADY_EXISTS
    assert "portfolios/three" in message


def test_a_request_id_belongs_to_one_body(
    portfolio: portfolios_pb2.Portfolio, caller: Caller
) -> None:
    request_id = uuid.uuid4().hex
    first = caller.build("three", caller.spec(*WEIGHTS), request_id)
    assert caller.build("three", caller.spec(*WEIGHTS), request_id).name == first.name
    code, message, _ = refused(lambda: caller.build("four", caller.spec(*WEIGHTS), request_id))
    assert code is grpc.StatusCode.ALREADY_EXISTS
    assert request_id in message


def test_events_are_numbered_and_can_be_resumed(
    portfolio: portfolios_pb2.Portfolio, caller: Caller
) -> None:
    events = caller.events(portfolio.operation)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert events[-1].stage == portfolios_pb2.BUILD_STAGE_DONE
    assert events[-2].candidates_done == events[-2].candidates_total == 4
    assert caller.events(portfolio.operation, after=events[-3].number) == events[-2:]
    assert any(event.reward_means for event in events)


def test_listing_shows_the_portfolio_without_its_answers(
    portfolio: portfolios_pb2.Portfolio, caller: Caller
) -> None:
    request = selector_pb2.ListPortfoliosRequest(page_size=1000)
    shown = {p.name: p for p in caller.stub.ListPortfolios(request).portfolios}
    listed = shown["portfolios/three"]
    assert not listed.sample_answers
    assert listed.candidates == portfolio.candidates


def test_a_user_gets_the_best_member(portfolio: portfolios_pb2.Portfolio, caller: Caller) -> None:
    for brevity in (0.0, 0.3, 1.0):
        request = selector_pb2.RouteRequest(
            portfolio="portfolios/three",
            weights=types_pb2.Weights(
                values={"brevity": 10 * brevity, "warmth": 10 - 10 * brevity}
            ),
        )
        answer = caller.stub.Route(request, timeout=5)
        utilities = values_of(portfolio) @ [brevity, 1 - brevity]
        members = [u for u, c in zip(utilities, portfolio.candidates, strict=True) if c.selected]
        assert answer.utility == pytest.approx(max(members))
        assert answer.gap == pytest.approx(max(utilities) - max(members), abs=1e-9)
        assert answer.weights.values["brevity"] == pytest.approx(brevity)


@pytest.mark.parametrize(
    ("weights", "field"),
    [
        ({"truth": 1.0}, "weights.values[truth]"),
        ({"brevity": -1.0}, "weights.values[brevity]"),
        ({"brevity": float("nan")}, "weights.values[brevity]"),
        ({"brevity": 0.0}, "weights.values"),
        ({}, "weights.values"),
    ],
)
def test_bad_weights_are_refused_by_name(
    portfolio: portfolios_pb2.Portfolio, caller: Caller, weights: dict[str, float], field: str
) -> None:
    request = selector_pb2.RouteRequest(
        portfolio="portfolios/three", weights=types_pb2.Weights(values=weights)
    )
    code, _, details = refused(lambda: caller.stub.Route(request, timeout=5))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    violations = error_details_pb2.BadRequest.FromString(details["BadRequest"]).field_violations
    assert [violation.field for violation in violations] == [field]


def test_unknown_portfolios_are_not_found(caller: Caller) -> None:
    name = "portfolios/nothing"
    weights = types_pb2.Weights(values={"brevity": 1.0})
    calls = [
        lambda: caller.portfolio("nothing"),
        lambda: caller.stub.Route(selector_pb2.RouteRequest(portfolio=name, weights=weights)),
        lambda: caller.stub.DeletePortfolio(selector_pb2.DeletePortfolioRequest(name=name)),
    ]
    for call in calls:
        code, message, details = refused(call)
        assert code is grpc.StatusCode.NOT_FOUND
        assert name in message
        info = error_details_pb2.ResourceInfo.FromString(details["ResourceInfo"])
        assert info.resource_name == name


@pytest.mark.parametrize("prompts", [[], ["fine", "  "]])
def test_prompt_sets_need_prompts(caller: Caller, prompts: list[str]) -> None:
    code, message, _ = refused(lambda: caller.prompt_set(prompts))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "prompt_set.prompts" in message


def test_unknown_names_are_refused_before_anything_is_spent(caller: Caller) -> None:
    spec = caller.spec({"brevity": 1.0})
    spec.base_model = "large"
    code, message, _ = refused(lambda: caller.build("unknown-base", spec))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "tiny" in message
    spec = caller.spec({"brevity": 1.0})
    spec.traits.append("truth")
    code, message, _ = refused(lambda: caller.build("unknown-trait", spec))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "truth" in message
    spec = caller.spec({"brevity": 1.0})
    spec.training_prompt_set = "promptSets/" + "0" * 32
    code, message, _ = refused(lambda: caller.build("unknown-set", spec))
    assert code is grpc.StatusCode.NOT_FOUND and spec.training_prompt_set in message


def test_a_failed_training_is_reported_and_the_build_goes_on(caller: Caller) -> None:
    spec = caller.spec({"brevity": 1.0}, {"warmth": 1.0}, {"warmth": 1.0})
    # More prompts in a step than there are prompts: the trainer refuses.
    spec.strategy.explicit.trainings[1].grpo.prompts_per_step = 1000
    spec.strategy.explicit.trainings[2].initial_training = 2
    spec.strategy.explicit.trainings[2].grpo.steps = 2
    portfolio = caller.built("one-fails", spec)
    assert len(portfolio.candidates) == 2
    refusal, follower = portfolio.failed_trainings
    assert refusal.error.code == code_pb2.INVALID_ARGUMENT
    assert "prompts_per_step" in refusal.error.message
    assert "training 2" in follower.error.message
    messages = [event.message for event in caller.events(portfolio.operation)]
    assert any("training 2 failed" in message for message in messages)


def test_a_build_without_two_candidates_fails_and_can_be_asked_for_again(caller: Caller) -> None:
    spec = caller.spec({"brevity": 1.0})
    spec.strategy.explicit.trainings[0].grpo.prompts_per_step = 1000
    first = caller.wait(caller.build("none-left", spec).name)
    assert first.error.code == code_pb2.FAILED_PRECONDITION
    assert "prompts_per_step" in first.error.message
    assert caller.portfolio("none-left").state == portfolios_pb2.PORTFOLIO_STATE_FAILED
    again = caller.build("none-left", spec)
    assert again.name != first.name
    assert caller.wait(again.name).HasField("error")


def test_a_cancelled_build_ends_and_takes_its_trainings_along(
    caller: Caller, trainer_process: ServiceProcess
) -> None:
    from google.longrunning import operations_pb2, operations_pb2_grpc

    from palmfolio.v1 import trainer_pb2

    spec = caller.spec({"brevity": 0.9, "warmth": 0.1}, seed=77)
    spec.grpo.steps = 10_000
    operation = caller.build("cancelled", spec).name
    caller.await_event(operation, lambda event: event.stage == portfolios_pb2.BUILD_STAGE_TRAINING)
    caller.operations.CancelOperation(operations_pb2.CancelOperationRequest(name=operation))
    assert caller.wait(operation).error.code == code_pb2.CANCELLED
    portfolio = caller.portfolio("cancelled")
    assert portfolio.state == portfolios_pb2.PORTFOLIO_STATE_FAILED
    assert portfolio.error.code == code_pb2.CANCELLED
    assert caller.events(operation)[-1].stage == portfolios_pb2.BUILD_STAGE_DONE
    trainings = operations_pb2_grpc.OperationsStub(trainer_process.channel)
    newest = trainings.ListOperations(operations_pb2.ListOperationsRequest(page_size=1))
    metadata = trainer_pb2.TrainPolicyMetadata()
    assert newest.operations[0].metadata.Unpack(metadata)
    ended = trainings.WaitOperation(
        operations_pb2.WaitOperationRequest(name=newest.operations[0].name), timeout=60
    )
    assert ended.error.code == code_pb2.CANCELLED


def test_deleting_keeps_what_was_measured(caller: Caller) -> None:
    spec = caller.spec(*WEIGHTS[:2])
    first = caller.built("deleted", spec)
    caller.stub.DeletePortfolio(selector_pb2.DeletePortfolioRequest(name="portfolios/deleted"))
    assert refused(lambda: caller.portfolio("deleted"))[0] is grpc.StatusCode.NOT_FOUND
    assert comparable(caller.built("deleted", spec)) == comparable(first)
