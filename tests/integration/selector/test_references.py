"""The preset `rlvr-gsm` end to end: prompts with their expected answers, to a portfolio."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import palmfolio
from palmfolio import Prompt, Sample
from tests.support.services.processes import ServiceProcess, start_service

TRAITS = ("correct", "brief", "clear")
QUESTIONS = tuple(f"What is {number} + {number}?" for number in range(60))
CONVERSATION = Prompt(
    messages=[
        {"role": "system", "content": "Show your work."},
        {"role": "user", "content": "What is 5 * 20?"},
        {"role": "assistant", "content": "5 * 20 = 100\n#### 100"},
        {"role": "user", "content": "And 3 * 20?"},
    ],
    reference="3 * 20 = 60\n#### 60",
)
TRAINING = [
    Prompt("What is 2 + 3?", reference="2 + 3 = 5\n#### 5", tags=["sums"]),
    Prompt("What is 7 - 6?", reference="#### 1"),
    CONVERSATION,
]
SAMPLING = palmfolio.SamplingConfig(max_tokens=48, seed=1)


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, tiny_base_model: Path
) -> Iterator[palmfolio.Client]:
    """A client of three services that serve the preset and the base model `tiny`."""
    processes: dict[str, ServiceProcess] = {}

    def start(name: str, **config: object) -> None:
        folder = tmp_path_factory.mktemp(name)
        others = {key: {"address": process.address} for key, process in processes.items()}
        state = {} if name == "scorer" else {"state_dir": str(folder / "state")}
        processes[name] = start_service(name, {**state, **others, **config}, folder)

    try:
        start("scorer", preset="rlvr-gsm", threads=1)
        models = {"tiny": str(tiny_base_model)}
        start("trainer", base_models=models, threads=1, sampling_threads=1)
        start("selector")
        addresses = {name: process.address for name, process in processes.items()}
        with palmfolio.Client(addresses) as connected:
            yield connected
    finally:
        for process in reversed(processes.values()):
            process.stop()


def make_spec(
    client: palmfolio.Client, training: Sequence[str | Prompt], evaluation: Sequence[str | Prompt]
) -> palmfolio.PortfolioSpec:
    """Two small trainings, measured with one answer for each prompt."""
    return palmfolio.PortfolioSpec(
        base_model="tiny",
        traits=TRAITS,
        training_prompt_set=client.selector.create_prompt_set(training).name,
        evaluation_prompt_set=client.selector.create_prompt_set(evaluation).name,
        strategy=palmfolio.ExplicitStrategy(
            (
                palmfolio.ExplicitTraining({"correct": 1.0, "brief": 1.0}),
                palmfolio.ExplicitTraining({"brief": 1.0, "clear": 1.0}),
            )
        ),
        grpo=palmfolio.GrpoConfig(
            steps=1, prompts_per_step=3, completions_per_prompt=2, max_completion_tokens=8
        ),
        sampling=SAMPLING,
        delta=0.05,
    )


def number_in(text: str) -> str | None:
    """The digit in a text that has only one, where nothing makes it a part of something else."""
    digits = re.findall(r"\d", text)
    single_digits = re.findall(r"(?<![\w.,:;/$%#+*^(-])\d(?![\w.,:;/%#+*^)-])", text)
    return single_digits[0] if len(digits) == 1 and digits == single_digits else None


def test_rewards_of_correct_are_what_a_person_gives(client: palmfolio.Client) -> None:
    sum_ = Prompt("What is 2 + 2?", reference="Two and two are four.\n#### 4")
    expected = {
        Sample(sum_, "2 + 2 = 4\n#### 4"): 1.0,
        Sample(sum_, "The answer is 4."): 1.0,
        Sample(sum_, "2 + 2 = 5\n#### 5"): 0.0,
        Sample(sum_, "I do not know."): 0.0,
        Sample(CONVERSATION, "#### 60"): 1.0,
        Sample(CONVERSATION, "#### 100"): 0.0,
        Sample("What is 2 + 2?", "#### 4", reference="#### 4"): 1.0,
    }
    scored = client.scorer.score(list(expected), traits=["correct"])
    assert [row[0] for row in scored.normalised] == list(expected.values())
    streamed = client.scorer.score_stream(iter(expected), traits=["correct"])
    assert [item.normalised[0] for item in streamed] == list(expected.values())


def test_a_portfolio_is_built_and_its_answers_are_compared_with_the_references(
    client: palmfolio.Client,
) -> None:
    """The reference is made of what the base model answers, so that some answers are right."""
    base = client.trainer.server_info().base_models[0].policy
    asked: list[str | Prompt] = [*QUESTIONS, CONVERSATION]
    said = client.trainer.generate([base], asked, sampling=SAMPLING)
    # The selector stores no NUL, which a model of random weights may answer.
    answers = [item.text.replace("\0", "\N{REPLACEMENT CHARACTER}") for item in said]
    numbers = [number_in(answer) for answer in answers]
    evaluation = [
        Prompt(question, reference=f"The answer.\n#### {number or 987_654}")
        for question, number in zip(QUESTIONS, numbers[:-1], strict=True)
    ]
    evaluation.append(CONVERSATION)
    spec = make_spec(client, TRAINING, evaluation)
    portfolio = client.selector.build_portfolio("gsm", spec).result(timeout=240)
    assert portfolio.state is palmfolio.PortfolioState.READY and not portfolio.failed_trainings
    assert len(portfolio.candidates) == 3
    rows = list(client.selector.list_evaluations(policy=base, trait="correct"))
    rewards = {str(row.prompt): row.normalised for row in rows}
    assert {row.prompt for row in rows} == set(evaluation)
    assert {row.response for row in rows} == set(answers)
    right = [question for question, number in zip(QUESTIONS, numbers[:-1], strict=True) if number]
    assert rewards == {str(prompt): float(str(prompt) in right) for prompt in evaluation}
    assert right
    value = next(item.value for item in portfolio.candidates if item.policy == base)
    assert value["correct"] == pytest.approx(sum(rewards.values()) / len(rewards))
    assert {answer.prompt for answer in portfolio.sample_answers} <= set(evaluation)
    # The stored set is what was sent, with the tags of the training prompts.
    stored = client.selector.create_prompt_set(TRAINING)
    assert stored.prompts == tuple(TRAINING)


@pytest.mark.parametrize("which", ["training", "evaluation"])
def test_a_prompt_without_a_reference_is_named_before_anything_is_trained(
    client: palmfolio.Client, which: str
) -> None:
    lacking = [*TRAINING, Prompt("What is 1 + 1?")]
    training, evaluation = (lacking, TRAINING) if which == "training" else (TRAINING, lacking)
    spec = make_spec(client, training, evaluation)
    before = {policy.name for policy in client.trainer.list_policies()}
    for call in (
        lambda: client.selector.plan_portfolio(spec),
        lambda: client.selector.build_portfolio(f"gsm-{which}", spec),
    ):
        with pytest.raises(palmfolio.InvalidArgument) as caught:
            call()
        (violation,) = caught.value.violations
        assert violation.field == f"spec.{which}_prompt_set"
        assert "trait correct compares with a reference" in violation.description
        assert "prompts[3] 'What is 1 + 1?'" in violation.description
    assert {policy.name for policy in client.trainer.list_policies()} == before
    with pytest.raises(palmfolio.NotFound):
        client.selector.get_portfolio(f"gsm-{which}")
