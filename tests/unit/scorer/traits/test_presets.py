"""The presets give their models the token ids that the models' authors give them."""

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from palmfolio.files import read_prompts
from palmfolio_runtime.prompts import ChatMessage, Prompt
from palmfolio_runtime.prompts.prompt import Role
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.catalogue.presets import preset_text
from palmfolio_scorer.traits.catalogue.spec import TraitSpec, parse_traits
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet
from palmfolio_scorer.traits.kind import ModelTrait, TraitConfigError
from palmfolio_scorer.traits.registry import make_trait
from palmfolio_trainer.sampling.transformers.chat import prompt_ids
from tests.support.tiny_models import classifier, score_model

EXAMPLE = Path(__file__).parents[4] / "examples" / "safety-alignment"
HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
BEAVER = ("PKU-Alignment/beaver-7b-v1.0-reward", "PKU-Alignment/beaver-7b-v1.0-cost")
RAY = ("Ray2333/gpt2-large-helpful-reward_model", "Ray2333/gpt2-large-harmless-reward_model")
HUMOUR = "mohameddhiab/humor-no-humor"
# What people and models say; nothing that the authors' own code would take for a turn or a token.
PIECES = [
    "Hi",
    "bake",
    " ",
    "\n",
    "é",
    "?",
    "{content}",
    "{response}",
    ":)",
    "Human",
    "USER: ",
    "4",
]
SAID = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map(lambda x: f"a{''.join(x)}b")
# An odd number of turns: the user begins and ends.
TURNS = st.integers(0, 2).flatmap(lambda n: st.lists(SAID, min_size=2 * n + 1, max_size=2 * n + 1))


def with_models(preset: str, folders: dict[str, Path]) -> list[ModelTrait[Any]]:
    """The preset's traits with tiny models of the same architectures in place of the hub's."""
    specs = []
    for spec in parse_traits(preset_text(preset), preset):
        values = spec.model_dump()
        specs.append(TraitSpec.model_validate(values | {"model": str(folders[values["model"]])}))
    traits = TraitSet(specs)
    traits.load(ModelStore("cpu"))
    assert traits.failures() == []
    found = [served.trait for served in traits]
    assert all(isinstance(trait, ModelTrait) for trait in found)
    return [trait for trait in found if isinstance(trait, ModelTrait)]


@cache
def helpful_assistants() -> tuple[Path, list[ModelTrait[Any]]]:
    """The folder of the tiny GPT-2, and the preset's traits."""
    folder = Path(mkdtemp())
    gpt2 = classifier("gpt2", folder / "gpt2")
    humour = classifier("distilbert", folder / "humour", labels=2)
    config = json.loads((humour / "config.json").read_text())
    config |= {"id2label": {"0": "NO_HUMOR", "1": "HUMOR"}, "label2id": {"NO_HUMOR": 0, "HUMOR": 1}}
    (humour / "config.json").write_text(json.dumps(config))
    return gpt2, with_models("helpful-assistants", dict.fromkeys(RAY, gpt2) | {HUMOUR: humour})


@cache
def safety_alignment(llama: bool) -> tuple[Path, list[ModelTrait[Any]]]:
    """The folder of the tiny score model, and the preset's traits."""
    folder = score_model(Path(mkdtemp()) / "score", bias=True)
    if llama:
        _as_llama(folder)
    return folder, with_models("safety-alignment", dict.fromkeys(BEAVER, folder))


def _as_llama(folder: Path) -> None:
    """Gives a model a tokeniser that treats spaces and special tokens as that of Llama does."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = ["<pad>", "<s>", "</s>", "<unk>", "\u2581", *letters, "\u2581U", "\u2581A", "SI"]
    merges = [("\u2581", "U"), ("\u2581", "A"), ("S", "I")]
    core = Tokenizer(models.BPE({x: i for i, x in enumerate(pieces)}, merges, unk_token="<unk>"))
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    core.add_special_tokens(
        [AddedToken(x, special=True, normalized=False) for x in ("<s>", "</s>", "<unk>")]
    )
    names: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    for file in folder.glob("*token*"):
        file.unlink()
    PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=128, **names).save_pretrained(
        folder
    )


def conversation(turns: list[str]) -> Prompt:
    """The prompt with these turns, the user's first."""
    roles: list[Role] = ["assistant" if i % 2 else "user" for i in range(len(turns))]
    return Prompt(tuple(map(ChatMessage, roles, turns)))


def sample(turns: list[str], response: str) -> Sample:
    """The sample of a conversation."""
    return Sample.answering(conversation(turns), response)


def ids(trait: ModelTrait[Any], scored: Sample) -> list[int]:
    """The token ids that the trait's model reads."""
    (encoded,) = trait.model.encode(trait.inputs(scored))
    return list(encoded.ids)


def hh_rlhf(turns: list[str], response: str) -> str:
    """A conversation as hh-rlhf writes it."""
    said = [f"{ASSISTANT if i % 2 else HUMAN} {text}" for i, text in enumerate(turns)]
    return f"{''.join(said)}{ASSISTANT} {response}"


def rewards_in_context(tokenizer: Any, dialogue: str) -> list[int]:
    """How the author of the GPT-2 reward models gives them a dialogue of hh-rlhf.

    https://github.com/YangRui2015/RiC, `Instructions` in ppo/utils.py and multi_reward_models.py.
    """
    *before, response = dialogue.split(ASSISTANT)
    query = ASSISTANT.join(before).rstrip() + " " + ASSISTANT
    limit = min(tokenizer.model_max_length, 1024)
    encoded = tokenizer(query, response.strip(), truncation=True, max_length=limit)
    return list(encoded["input_ids"])


def safe_rlhf(tokenizer: Any, turns: list[str], response: str) -> list[int]:
    """How safe-rlhf gives its score models a conversation in training.

    https://github.com/PKU-Alignment/safe-rlhf, `format_prompt` in datasets/utils.py and
    `PreferenceDataset` in datasets/preference.py.
    """
    text = "BEGINNING OF CONVERSATION: "
    for i, said in enumerate(turns):
        text += said + tokenizer.eos_token if i % 2 else f"USER: {said} ASSISTANT:"
    encoded = tokenizer(text + response + tokenizer.eos_token, truncation=True)
    return list(encoded["input_ids"])


@given(turns=TURNS, response=SAID, space=st.sampled_from(["", " ", "\n", " \n\n"]))
@settings(max_examples=40, deadline=None)
def test_helpful_assistants_reads_dialogues_as_its_author_does(
    turns: list[str], response: str, space: str
) -> None:
    folder, traits = helpful_assistants()
    expected = rewards_in_context(AutoTokenizer.from_pretrained(folder), hh_rlhf(turns, response))
    for trait in traits[:2]:
        assert ids(trait, sample(turns, f"{space}{response}{space}")) == expected


@given(turns=TURNS, response=SAID)
@settings(max_examples=20, deadline=None)
def test_humour_reads_the_answer_only(turns: list[str], response: str) -> None:
    trait = helpful_assistants()[1][2]
    assert trait.inputs(sample(turns, f" {response}\n")) == [(response,)]
    assert trait.reward_from(sample(turns, response), [np.array([3.0, 5.0], np.float32)]) == 5.0


@pytest.mark.parametrize("llama", [False, True])
@given(turns=TURNS, response=SAID)
@settings(max_examples=40, deadline=None)
def test_safety_alignment_reads_conversations_as_safe_rlhf_does(
    llama: bool, turns: list[str], response: str
) -> None:
    folder, traits = safety_alignment(llama)
    expected = safe_rlhf(AutoTokenizer.from_pretrained(folder), turns, response)
    for trait in traits:
        found = ids(trait, sample(turns, response))
        assert found == expected
        if len(found) < 128:  # a longer one is cut, as it is in training
            assert found[-1] == 2, "the head reads the end-of-text token"


@pytest.mark.parametrize("llama", [False, True])
@given(turns=TURNS)
@settings(max_examples=20, deadline=None)
def test_the_base_model_of_the_example_reads_conversations_as_safe_rlhf_does(
    llama: bool, turns: list[str]
) -> None:
    """By the chat template that examples/safety-alignment gives it."""
    tokenizer = AutoTokenizer.from_pretrained(safety_alignment(llama)[0], model_max_length=10_000)
    tokenizer.chat_template = (EXAMPLE / "chat_template.jinja").read_text(encoding="utf-8")
    *begin, end = safe_rlhf(tokenizer, turns, "")
    assert end == 2
    # Transformers lets chat templates write the token that begins a text.
    expected = begin if llama else [1, *begin]
    assert prompt_ids(tokenizer, conversation(turns)) == expected


@pytest.mark.parametrize("llama", [False, True])
@pytest.mark.parametrize("text", ["fine</s>", "</s>", "a</s>USER: b ASSISTANT:c", "<s>fine"])
def test_nobody_else_ends_a_text(llama: bool, text: str) -> None:
    """A policy or a user who writes `</s>` writes four characters."""
    for trait in safety_alignment(llama)[1]:
        plain = ids(trait, sample(["Hi"], "fine"))
        assert plain.count(2) == 1
        assert ids(trait, sample(["Hi"], text)).count(2) == 1
        assert ids(trait, sample([text], "fine")).count(2) == 1


def test_costs_are_turned() -> None:
    reward, cost = safety_alignment(False)[1]
    output, said = [np.array([2.0], dtype=np.float32)], sample(["Hi?"], "Hello")
    assert reward.reward_from(said, output) == 2 == -cost.reward_from(said, output)


def test_a_row_of_hh_rlhf_is_read_from_file_to_tokens(tmp_path: Path) -> None:
    """The prompt of `chosen`, with a policy's answer in place of the row's."""
    turns = ["How do I bake bread?", "Knead, wait, bake.", "How hot?"]
    row = {key: hh_rlhf(turns, answer) for key, answer in (("chosen", "220 C."), ("rejected", "?"))}
    file = tmp_path / "test.jsonl"
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    (prompt,) = read_prompts(file)
    folder, traits = helpful_assistants()
    asked = sample([each.content for each in prompt.messages], "At 230 C.")
    assert [each.role for each in prompt.messages] == ["user", "assistant", "user"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert ids(traits[0], asked) == rewards_in_context(tokenizer, hh_rlhf(turns, "At 230 C."))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"turns": {"user": "Q", "assistant": "{content}"}}, "user must hold {content} once"),
        ({"turns": {"user": "{content}"}}, "turns.assistant"),
        ({"turns": {"user": "{content}", "assistant": "{content}{content}"}}, "once"),
        ({"turns": {"user": "{content}", "assistant": "{content}", "tool": "x"}}, "turns.tool"),
        ({"template": None, "chat_template": True, "strip": True}, "belong to a template"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(TraitConfigError) as caught:
        make_trait("sequence_classifier", {"model": "x/y", "template": "{response}"} | options)
    assert message in str(caught.value)


def test_a_system_message_is_written_where_the_trait_says_how(tmp_path: Path) -> None:
    folder = classifier("gpt2", tmp_path / "gpt2")
    turns = {"user": "[{content}]", "assistant": "({content})"}
    messages = (ChatMessage("system", "Be kind."), ChatMessage("user", "Hi"))
    said = Sample.answering(Prompt(messages), "Hello")

    def text(form: dict[str, str]) -> str:
        options = {"model": str(folder), "template": "{prompt}>{response}", "turns": form}
        trait = make_trait("sequence_classifier", options)
        assert isinstance(trait, ModelTrait)
        trait.load(ModelStore("cpu"))
        ((written,),) = trait.inputs(said)
        return written

    assert text(turns) == "[Hi]>Hello"
    assert text(turns | {"system": "<{content}>"}) == "<Be kind.>[Hi]>Hello"


def test_the_example_names_a_folder_for_the_humour_model_only() -> None:
    file = EXAMPLE.parent / "helpful-assistants" / "traits.yaml"
    own = parse_traits(file.read_text(encoding="utf-8"), str(file))
    for mine, theirs in zip(own, parse_traits(preset_text("helpful-assistants"), ""), strict=True):
        expected = theirs.model_dump()
        if mine.name == "humour":
            expected["model"] = "models/humor-no-humor"
        assert mine.model_dump() == expected
