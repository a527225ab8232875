"""The stack as its users meet it: through published ports, across restarts, kills and upgrades."""

import dataclasses
from typing import Any

import pytest

import palmfolio
from palmfolio import ExplicitStrategy, ExplicitTraining, GrpoConfig, SamplingConfig
from tests.support.docker.stack import SERVICES, Stack

TRAINING_PROMPTS = ["How do I brew good coffee?", "What is a good book?", "Tell me of the sea."]
EVALUATION_PROMPTS = ["How do I sleep well?", "What shall I cook?", "Why is the sky blue?"]
WEIGHTS = [{"relevance": 2, "brevity": 1, "warmth": 1}, {"relevance": 1, "brevity": 4, "warmth": 1}]
USERS = [{"relevance": 1}, {"brevity": 3, "warmth": 1}, {"relevance": 1, "warmth": 2}]
BUILD_SECONDS = 900
# A text's embedding depends on what else is in its batch, hence on what else is being scored, by
# less than 1e-6 in float32.
ROUNDING = 1e-5


def start_build(client: palmfolio.Client, portfolio_id: str = "small") -> palmfolio.Build:
    """Starts the build of a small portfolio of the real language model."""
    training = client.selector.create_prompt_set(TRAINING_PROMPTS)
    evaluation = client.selector.create_prompt_set(EVALUATION_PROMPTS)
    spec = palmfolio.PortfolioSpec(
        base_model="smollm2-135m-instruct",
        traits=("relevance", "brevity", "warmth"),
        training_prompt_set=training.name,
        evaluation_prompt_set=evaluation.name,
        strategy=ExplicitStrategy(tuple(ExplicitTraining(weights) for weights in WEIGHTS)),
        grpo=GrpoConfig(
            steps=1, prompts_per_step=2, completions_per_prompt=2, max_completion_tokens=12
        ),
        sampling=SamplingConfig(samples_per_prompt=1, max_tokens=12, seed=3),
        delta=0.01,
        seed=1,
    )
    return client.selector.build_portfolio(portfolio_id, spec)


def comparable(portfolio: palmfolio.Portfolio) -> dict[str, object]:
    """What two builds of the same spec have in common though each trains and scores anew."""
    fields = dataclasses.asdict(portfolio)
    for own in ("operation", "create_time"):
        del fields[own]
    for candidate in fields["candidates"]:
        # The address ends in a digest of the adapter's bytes, in which rounding shows as well.
        adapter = candidate["adapter"] or ""  # None for the base model
        candidate["adapter"] = adapter.rpartition("/")[0]
    return fields


def within_rounding(value: Any) -> Any:
    """Equal to what differs by rounding in its numbers and by nothing in all else."""
    if isinstance(value, float):
        return pytest.approx(value, rel=0, abs=ROUNDING, nan_ok=True)
    if isinstance(value, dict):
        return {key: within_rounding(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(within_rounding, value))
    return value


def remembered(stack: Stack) -> dict[str, object]:
    """What the services keep."""
    with stack.client() as client:
        portfolio = client.selector.get_portfolio("small")
        policies = {policy.name: policy for policy in client.trainer.list_policies()}
        assert portfolio.operation is not None
        members = [candidate.policy for candidate in portfolio.candidates]
        sampling = SamplingConfig(samples_per_prompt=1, max_tokens=8, seed=11)
        return {
            "portfolio": portfolio,
            "routes": [client.selector.route("small", weights) for weights in USERS],
            "policies": policies,
            "answers": client.trainer.generate(members, ["What is rain?"], sampling=sampling),
            "traits": {trait.name: trait.version for trait in client.scorer.list_traits()},
            "events": list(client.selector.operation(portfolio.operation).events()),
        }


@pytest.fixture(scope="module")
def portfolio(stack: Stack) -> palmfolio.Portfolio:
    """A small portfolio, built without disturbance."""
    with stack.client() as client:
        return start_build(client).result(BUILD_SECONDS)


def test_a_portfolio_is_built_and_routes(stack: Stack, portfolio: palmfolio.Portfolio) -> None:
    assert portfolio.state is palmfolio.PortfolioState.READY
    # One policy for each weights, and the base model.
    assert len(portfolio.candidates) == len(WEIGHTS) + 1
    assert portfolio.certificate is not None
    assert portfolio.certificate.additive <= 0.01
    members = {candidate.policy for candidate in portfolio.candidates if candidate.selected}
    with stack.client() as client:
        for weights in USERS:
            route = client.selector.route("small", weights)
            assert route.policy in members
            assert route.gap <= 0.01
            (completion,) = client.trainer.generate([route.policy], ["What is rain?"])
            assert completion.text
        with pytest.raises(palmfolio.InvalidArgument, match="kindness"):
            client.selector.route("small", {"kindness": 1})


def test_ports_are_published_on_loopback_alone(stack: Stack) -> None:
    for service in SERVICES:
        settings = stack.state(service)["NetworkSettings"]
        published = [binding for ports in settings["Ports"].values() for binding in ports or []]
        assert [binding["HostIp"] for binding in published] == ["127.0.0.1"]
    assert not any(stack.state("database")["NetworkSettings"]["Ports"].values())


@pytest.mark.parametrize("service", ["scorer", "trainer", "selector", "database"])
def test_everything_is_there_after_a_restart(
    stack: Stack, portfolio: palmfolio.Portfolio, service: str
) -> None:
    before = remembered(stack)
    stack.restart(service)
    assert remembered(stack) == before


def test_everything_is_there_after_down_and_up(
    stack: Stack, portfolio: palmfolio.Portfolio
) -> None:
    before = remembered(stack)
    stack.down()
    stack.up()
    assert remembered(stack) == before


def test_a_database_that_is_stopped_is_said_and_waited_for(
    stack: Stack, portfolio: palmfolio.Portfolio
) -> None:
    before = remembered(stack)
    stack.compose("stop", "database")
    with stack.client() as client:
        with pytest.raises(palmfolio.Unavailable, match="database"):
            client.selector.get_portfolio("small", timeout=5)
        readiness = client.selector.server_info().readiness
        assert not readiness.ready
        assert "the database cannot be used" in "; ".join(readiness.reasons)
    stack.compose("start", "database")
    stack.wait()
    assert remembered(stack) == before
    assert stack.state("selector")["RestartCount"] == 0


def test_a_killed_selector_goes_on_to_the_same_portfolio(
    stack: Stack, portfolio: palmfolio.Portfolio
) -> None:
    stack.down(with_volumes=True)
    stack.up()
    with stack.client() as client:
        assert list(client.selector.list_portfolios()) == []
        build = start_build(client)
        for event in build.events():
            if event.stage is palmfolio.BuildStage.TRAINING:
                break
        stack.kill("selector")
        assert not stack.state("selector")["State"]["Running"]
        stack.start("selector")
        resumed = build.result(BUILD_SECONDS)
        assert comparable(resumed) == within_rounding(comparable(portfolio))
        numbers = [event.number for event in build.events()]
        assert numbers == list(range(1, len(numbers) + 1))
