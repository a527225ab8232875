"""The grammar of nouns and verbs, and the commands that only pass on what a service says."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import typer.main
from google.longrunning import operations_pb2

from palmfolio.cli.app import app
from palmfolio.v1 import (
    evaluations_pb2,
    portfolios_pb2,
    prompts_pb2,
    scorer_pb2,
    selector_pb2,
    trainer_pb2,
    types_pb2,
)
from tests.support.cli_outcome import Outcome
from tests.support.sdk_peer import Peer, abort

Command = Callable[..., Outcome]

NOUNS = {
    "portfolios": "portfolio",
    "policies": "policy",
    "traits": "trait",
    "prompts": "prompt",
    "evaluations": "evaluation",
    "operations": "operation",
}


@pytest.mark.parametrize(("plural", "singular"), NOUNS.items())
def test_the_singular_of_a_noun_is_the_same_command(
    command: Command, plural: str, singular: str
) -> None:
    listed, same = command(plural, "--help"), command(singular, "--help")
    assert (listed.code, same.code) == (0, 0)
    assert listed.out.splitlines()[1:] == same.out.splitlines()[1:]


def test_a_noun_is_listed_once(command: Command) -> None:
    shown = command("--help").out
    names = [line.split()[0] for line in shown.splitlines() if line.startswith("  ")]
    assert set(NOUNS) <= set(names)
    assert not set(NOUNS.values()) & set(names)
    assert len(app.registered_groups) == len(NOUNS)


@pytest.mark.parametrize("words", [("traits",), ("trait",), ("traits", "list"), ("trait", "list")])
def test_a_noun_without_a_verb_lists(
    peer: Peer, command: Command, endpoints: str, words: tuple[str, ...]
) -> None:
    listed = scorer_pb2.ListTraitsResponse(traits=[scorer_pb2.Trait(name="traits/kind")])
    peer.on("ListTraits", lambda *_: listed)
    outcome = command(*words, "--endpoints", endpoints, "--json")
    assert [item["name"] for item in outcome.json] == ["kind"]


@pytest.mark.parametrize(
    "words", [("portfolios", "paint"), ("policy", "paint"), ("paints",), ("prompts", "paint")]
)
def test_an_unknown_word_is_bad_usage(command: Command, words: tuple[str, ...]) -> None:
    outcome = command(*words)
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1 and words[-1] in outcome.err
    assert "?." not in outcome.err and "--help" in outcome.err


def _policy() -> trainer_pb2.Policy:
    policy = trainer_pb2.Policy(
        name="policies/x", state=trainer_pb2.POLICY_STATE_READY, adapter="file:///adapters/x"
    )
    policy.spec.base_model = "base"
    policy.spec.weights.values.update({"a": 0.75, "b": 0.25})
    policy.spec.grpo.steps = 3
    return policy


def test_a_policy_is_shown(peer: Peer, command: Command, endpoints: str) -> None:
    peer.on("GetPolicy", lambda *_: _policy())
    shown = command("policies", "show", "x", "--endpoints", endpoints)
    assert shown.code == 0
    for text in ("policies/x", "ready", "a 75%", "adapters/x"):
        assert text in shown.out
    policy = command("policies", "show", "x", "--endpoints", endpoints, "--json").json
    assert policy["spec"]["method"]["grpo"]["steps"] == 3
    assert policy["spec"]["initial_policy"] is None


@pytest.mark.parametrize(
    ("noun", "method", "answer"),
    [
        ("policies", "DeletePolicy", trainer_pb2.DeletePolicyResponse()),
        ("portfolios", "DeletePortfolio", selector_pb2.DeletePortfolioResponse()),
    ],
)
def test_deleting_says_what_was_deleted(
    peer: Peer, command: Command, endpoints: str, noun: str, method: str, answer: Any
) -> None:
    peer.on(method, lambda *_: answer)
    for name in ("x", f"{noun}/x"):
        outcome = command(noun, "delete", name, "--endpoints", endpoints)
        assert (outcome.code, outcome.out.strip()) == (0, f"deleted {noun}/x")
    assert command(noun, "delete", "x", "--endpoints", endpoints, "--json").json == {
        "deleted": f"{noun}/x"
    }
    assert {request.name for request in peer.requests(method)} == {f"{noun}/x"}


def test_a_delete_that_is_refused_fails(peer: Peer, command: Command, endpoints: str) -> None:
    refused = grpc.StatusCode.FAILED_PRECONDITION
    peer.on("DeletePortfolio", lambda _, context: abort(context, refused, "is being built"))
    outcome = command("portfolio", "delete", "x", "--endpoints", endpoints)
    assert (outcome.code, outcome.err.strip()) == (1, "error: is being built")


def test_prompts_are_stored(peer: Peer, command: Command, endpoints: str, tmp_path: Path) -> None:
    peer.on("CreatePromptSet", lambda *_: prompts_pb2.PromptSet(name="promptSets/7"))
    (tmp_path / "prompts.txt").write_text("one\n\ntwo\n")
    outcome = command("prompts", "create", "prompts.txt", "--endpoints", endpoints)
    assert (outcome.code, outcome.out.strip()) == (0, "promptSets/7  2 prompts")
    sent = peer.requests("CreatePromptSet")[0].prompt_set.prompts
    assert [prompt.text for prompt in sent] == ["one", "two"]
    stored = command("prompts", "create", "prompts.txt", "--endpoints", endpoints, "--json").json
    assert (stored["name"], stored["prompts"]) == ("promptSets/7", 2)


def _sets(request: Any, context: Any) -> prompts_pb2.ListPromptSetsResponse:
    first = int(request.page_token or 0)
    return prompts_pb2.ListPromptSetsResponse(
        prompt_sets=[
            prompts_pb2.PromptSet(name=f"promptSets/{n}", prompt_count=1200, display_name="study")
            for n in range(first, first + 2)
        ],
        next_page_token=str(first + 2) if first < 4 else "",
    )


def test_prompt_sets_are_listed(peer: Peer, command: Command, endpoints: str) -> None:
    peer.on("ListPromptSets", _sets)
    listed = command("prompts", "list", "--endpoints", endpoints, "--json")
    assert [item["name"] for item in listed.json] == [f"promptSets/{n}" for n in range(6)]
    shown = command("prompts", "--limit", "3", "--endpoints", endpoints)
    assert shown.code == 0 and "1,200" in shown.out and "study" in shown.out
    assert "only the newest 3 are shown" in shown.err


def test_a_prompt_set_is_shown(peer: Peer, command: Command, endpoints: str) -> None:
    peer.on(
        "GetPromptSet", lambda request, _: prompts_pb2.PromptSet(name=request.name, prompt_count=3)
    )
    messages = [prompts_pb2.ChatMessage(role=prompts_pb2.ROLE_USER, content="hi")]
    prompts = [
        prompts_pb2.Prompt(text="2 + 2?", reference="4", tags=["sums"]),
        prompts_pb2.Prompt(messages=messages),
        prompts_pb2.Prompt(text="why?"),
    ]
    answer = prompts_pb2.ListPromptsResponse(prompts=prompts)
    peer.on("ListPrompts", lambda *_: answer)
    shown = command("prompt", "show", "7", "--endpoints", endpoints)
    assert shown.code == 0 and shown.err == ""
    for text in ("2 + 2?", "4", "sums", "user: hi", "why?"):
        assert text in shown.out
    plain = command("prompts", "show", "promptSets/7", "--json", "--endpoints", endpoints).json
    assert (plain["name"], plain["prompt_count"]) == ("promptSets/7", 3)
    assert plain["prompts"][0] == {"text": "2 + 2?", "reference": "4", "tags": ["sums"]}
    assert plain["prompts"][2] == "why?"
    some = command("prompts", "show", "7", "--limit", "1", "--json", "--endpoints", endpoints)
    assert len(some.json["prompts"]) == 1 and "only the first 1 prompts" in some.err
    assert {request.prompt_set for request in peer.requests("ListPrompts")} == {"promptSets/7"}


def _many(request: Any, context: Any) -> selector_pb2.ListEvaluationsResponse:
    rows = [
        evaluations_pb2.Evaluation(
            policy="policies/a",
            prompt=prompts_pb2.Prompt(text="hello"),
            trait="kind",
            normalised=0.5,
        )
        for _ in range(5)
    ]
    return selector_pb2.ListEvaluationsResponse(evaluations=rows, next_page_token="more")


def test_evaluations_are_listed_up_to_a_limit(peer: Peer, command: Command, endpoints: str) -> None:
    peer.on("ListEvaluations", _many)
    arguments = ("evaluations", "list", "--policy", "a", "--limit", "7")
    outcome = command(*arguments, "--endpoints", endpoints, "--json")
    assert len(outcome.json) == 7
    assert "only the first 7" in outcome.err
    assert peer.requests("ListEvaluations")[0].policy == "policies/a"
    outcome = command(*arguments, "--endpoints", endpoints)
    assert outcome.code == 0 and "hello" in outcome.out and "0.500" in outcome.out


def _imported(requests: Iterator[Any], context: Any) -> selector_pb2.ImportEvaluationsResponse:
    rows = [row for request in requests for row in request.evaluations]
    _imported.rows = rows  # type: ignore[attr-defined]
    return selector_pb2.ImportEvaluationsResponse(
        rows=len(rows), policies=2, prompt_set="promptSets/7"
    )


def test_evaluations_are_imported(
    peer: Peer, command: Command, endpoints: str, tmp_path: Path
) -> None:
    peer.on("ImportEvaluations", _imported)
    (tmp_path / "rows.csv").write_text(
        "policy,prompt,sample,kind,brief\nx,hello,0,0.5,1\nx,hello,1,0.25,0\ny,why,,1,1\n"
    )
    arguments = ("evaluations", "import", "rows.csv", "--source", "study")
    imported = command(*arguments, "--endpoints", endpoints, "--json").json
    assert imported == {"rows": 3, "policies": 2, "prompt_set": "promptSets/7"}
    rows = _imported.rows  # type: ignore[attr-defined]
    assert [(row.policy, row.prompt.text, row.sample, list(row.rewards)) for row in rows] == [
        ("policies/x", "hello", 0, [0.5, 1.0]),
        ("policies/x", "hello", 1, [0.25, 0.0]),
        ("policies/y", "why", 0, [1.0, 1.0]),
    ]


@pytest.mark.parametrize("sample", ["first", "-1", "1024", "1.5"])
def test_a_bad_sample_number_is_named(
    command: Command, endpoints: str, tmp_path: Path, sample: str
) -> None:
    (tmp_path / "rows.csv").write_text(f"policy,prompt,sample,kind\nx,hello,{sample},0.5\n")
    outcome = command(
        "evaluations", "import", "rows.csv", "--source", "study", "--endpoints", endpoints
    )
    assert outcome.code == 2
    assert f"row 2: column sample is '{sample}'" in outcome.err


def test_a_portfolio_is_selected_from_stored_evaluations(
    peer: Peer, command: Command, endpoints: str
) -> None:
    answer = selector_pb2.SelectPortfolioResponse(incomplete_policies=["policies/z"])
    answer.portfolio.name = "portfolios/study"
    answer.portfolio.state = portfolios_pb2.PORTFOLIO_STATE_READY
    answer.portfolio.spec.traits.extend(["kind", "brief"])
    answer.portfolio.candidates.add(policy="policies/x", selected=True, value={"kind": 0.5})
    answer.portfolio.certificate.gap = 0.125
    answer.portfolio.baselines.best_single_policy = 0.25
    peer.on("SelectPortfolio", lambda *_: answer)
    arguments = ("portfolios", "select", "--prompt-set", "7", "--traits", "kind, brief")
    chosen = ("--source", "study", "--delta", "0.1", "--size", "2", "--save", "study")
    outcome = command(*arguments, *chosen, "--endpoints", endpoints)
    assert outcome.code == 0
    assert "0.1250" in outcome.out and "policies/z" in outcome.err
    sent = peer.requests("SelectPortfolio")[0]
    stored = sent.candidates.evaluations
    assert (stored.prompt_set, list(stored.traits)) == ("promptSets/7", ["kind", "brief"])
    assert (stored.source, stored.HasField("sampling")) == ("study", False)
    assert (sent.delta, sent.max_size, sent.portfolio_id) == (0.1, 2, "study")
    selection = command(*arguments, *chosen, "--endpoints", endpoints, "--json").json
    assert selection["portfolio"]["name"] == "portfolios/study"
    assert selection["portfolio"]["spec"]["strategy"] is None
    assert selection["incomplete_policies"] == ["policies/z"]
    command("portfolios", "select", "--portfolio", "x", "--size", "1", "--endpoints", endpoints)
    assert peer.requests("SelectPortfolio")[-1].candidates.portfolio == "portfolios/x"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either --portfolio, or --prompt-set"),
        (("--portfolio", "x", "--prompt-set", "y"), "give either --portfolio, or --prompt-set"),
        (("--prompt-set", "y"), "needs --traits"),
        (("--portfolio", "x", "--size", "0"), "--size"),
    ],
)
def test_a_selection_says_what_it_needs(
    command: Command, arguments: tuple[str, ...], message: str
) -> None:
    outcome = command("portfolios", "select", *arguments)
    assert outcome.code == 2
    assert message in outcome.err


def _trained(peer: Peer) -> None:
    running = operations_pb2.Operation(name="operations/1")
    finished = operations_pb2.Operation(name="operations/1", done=True)
    finished.response.Pack(_policy())
    model = types_pb2.BaseModel(name="base", policy="policies/base")
    peer.on("GetServerInfo", lambda *_: types_pb2.ServerInfo(base_models=[model]))
    peer.on("TrainPolicy", lambda *_: running)
    peer.on("WaitOperation", lambda *_: finished)

    def watch(request: Any, context: Any) -> Iterator[Any]:
        for number, stage in enumerate(("queued", "training", "done"), 1):
            progress = trainer_pb2.TrainingProgress(stage=stage, step=number, steps=3)
            yield trainer_pb2.TrainingEvent(number=number, progress=progress)

    peer.on("WatchTraining", watch)


def test_a_training_is_started_and_followed(
    peer: Peer, command: Command, endpoints: str, tmp_path: Path
) -> None:
    _trained(peer)
    (tmp_path / "settings.yaml").write_text("steps: 5\nlearning_rate: 5e-4\n")
    arguments = ("train", "--weights", "a=3,b=1", "--prompt", "hello", "--prompt", "why?")
    chosen = ("--settings", "settings.yaml", "--steps", "3", "--seed", "7")
    outcome = command(*arguments, *chosen, "--endpoints", endpoints, "--json")
    assert outcome.code == 0
    assert outcome.json["name"] == "policies/x"
    assert [line.split()[0] for line in outcome.err.splitlines()] == ["queued", "training", "done"]
    spec = peer.requests("TrainPolicy")[0].spec
    assert (spec.base_model, dict(spec.weights.values)) == ("base", {"a": 3.0, "b": 1.0})
    assert ([prompt.text for prompt in spec.prompts], spec.seed) == (["hello", "why?"], 7)
    assert (spec.grpo.steps, spec.grpo.learning_rate) == (3, 5e-4)
    assert not spec.grpo.HasField("lora_rank")
    assert "policies/x" in command(*arguments, "--endpoints", endpoints).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weights", "a=1"), "give at least one --prompt"),
        (("--weights", "a=-1", "--prompt", "p"), "not negative"),
        (("--weights", "a=1", "--prompt", "p", "--settings", "bad.yaml"), "stepps is unknown"),
        (("--weights", "a=1", "--prompt", "p", "--trait-versions", "a"), "trait=version"),
    ],
)
def test_a_training_says_what_is_wrong(
    peer: Peer,
    command: Command,
    endpoints: str,
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    _trained(peer)
    (tmp_path / "bad.yaml").write_text("stepps: 5\n")
    outcome = command("train", *arguments, "--endpoints", endpoints)
    assert outcome.code == 2
    assert message in outcome.err
    assert not peer.requests("TrainPolicy")


def test_a_trainer_with_several_models_asks_which(
    peer: Peer, command: Command, endpoints: str
) -> None:
    models = [types_pb2.BaseModel(name=name) for name in ("small", "large")]
    peer.on("GetServerInfo", lambda *_: types_pb2.ServerInfo(base_models=models))
    outcome = command("train", "--weights", "a=1", "--prompt", "p", "--endpoints", endpoints)
    assert outcome.code == 2
    assert "--base-model; known: small, large" in outcome.err


def test_a_training_that_fails_is_code_one(peer: Peer, command: Command, endpoints: str) -> None:
    _trained(peer)
    failed = operations_pb2.Operation(name="operations/1", done=True)
    failed.error.code, failed.error.message = grpc.StatusCode.INTERNAL.value[0], "out of memory"
    peer.on("WaitOperation", lambda *_: failed)
    outcome = command("train", "--weights", "a=1", "--prompt", "p", "--endpoints", endpoints)
    assert outcome.code == 1
    assert outcome.err.strip().splitlines()[-1] == "error: out of memory"


def _commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_json_and_help(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    assert "--json" in {option for param in command.params for option in param.opts}
    assert command.help and command.help.splitlines()[0].endswith(".")
