"""What traits say they read, and what each reads of a conversation."""

from pathlib import Path
from typing import Any

import pytest

from palmfolio_runtime.prompts import ChatMessage, Prompt
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.protocol.replies import trait_message
from palmfolio_scorer.samples import Sample, check_text
from palmfolio_scorer.traits.catalogue.presets import preset_text
from palmfolio_scorer.traits.catalogue.spec import parse_traits
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet
from palmfolio_scorer.traits.embedding_similarity import EmbeddingSimilarity
from palmfolio_scorer.traits.kind import ModelTrait
from palmfolio_scorer.traits.language_model import LanguageModelTrait
from palmfolio_scorer.traits.registry import make_trait
from palmfolio_scorer.traits.sequence_classifier import SequenceClassifier
from tests.support.tiny_models import classifier, language_model

TURNS = (
    ChatMessage("system", "Be brief."),
    ChatMessage("user", "Hello"),
    ChatMessage("assistant", "Hi"),
    ChatMessage("user", "What is 2 + 2?"),
)
SAMPLE = Sample.answering(Prompt(TURNS, "#### 4"), "It is 4")
PLAIN = "system: Be brief.\nuser: Hello\nassistant: Hi\nuser: What is 2 + 2?"


@pytest.mark.parametrize(
    ("kind", "options", "fields"),
    [
        ("verifier", {"check": "length"}, {"response"}),
        ("verifier", {"check": "sentiment"}, {"response"}),
        ("verifier", {"check": "answer"}, {"response", "reference"}),
        ("embedding_similarity", {"model": "m"}, {"prompt", "response"}),
        (
            "embedding_similarity",
            {"model": "m", "between": ["reference", "response"]},
            {"reference", "response"},
        ),
        ("sequence_classifier", {"model": "m", "template": "{response}"}, {"response"}),
        (
            "sequence_classifier",
            {"model": "m", "template": ["{reference}", "{response}"]},
            {"reference", "response"},
        ),
        ("sequence_classifier", {"model": "m", "chat_template": True}, {"prompt", "response"}),
        ("language_model", {"model": "m"}, {"prompt", "response"}),
        (
            "language_model",
            {"model": "m", "measure": "judge", "template": "{reference} or {response}?"},
            {"reference", "response"},
        ),
    ],
)
def test_a_trait_names_what_it_reads(kind: str, options: dict[str, Any], fields: set[str]) -> None:
    assert make_trait(kind, options).fields() == fields


def test_a_composite_reads_what_its_parts_read_and_clients_learn_it() -> None:
    traits = TraitSet(
        parse_traits(
            """
            traits:
              - {name: all, kind: composite, of: {right: 1, short: 1}, normalisation: &id
                 {kind: identity}}
              - {name: right, kind: verifier, check: answer, normalisation: *id}
              - {name: short, kind: verifier, check: length, normalisation: *id}
              - {name: broken, kind: verifier, check: length, unit: tokens, tokenizer: no/such,
                 normalisation: *id}
            """,
            "test",
        )
    )
    traits.load(ModelStore("cpu"))
    messages = {served.name: list(trait_message(served).fields) for served in traits}
    assert messages == {
        "all": ["reference", "response"],
        "right": ["reference", "response"],
        "short": ["response"],
        "broken": [],
    }


def test_the_gsm_preset_needs_references_for_its_answers() -> None:
    traits = TraitSet(parse_traits(preset_text("rlvr-gsm"), "rlvr-gsm"))
    needing = [served.name for served in traits if "reference" in served.fields]
    assert needing == ["correct"]


def test_a_chat_template_gets_every_turn(tmp_path: Path) -> None:
    trait = make_trait(
        "sequence_classifier",
        {"model": str(classifier("llama", tmp_path / "model")), "chat_template": True},
    )
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, SequenceClassifier)
    messages = [{"role": turn.role, "content": turn.content} for turn in TURNS]
    messages.append({"role": "assistant", "content": "It is 4"})
    tokenizer = trait.model.tokeniser.tokenizer
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    (encoded,) = trait.model.encode(trait.inputs(SAMPLE))
    assert encoded.ids == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert "Hi" in text


def test_a_language_models_chat_template_gets_every_turn(tmp_path: Path) -> None:
    folder = str(language_model(tmp_path / "model"))
    trait = make_trait("language_model", {"model": folder, "chat_template": True})
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, LanguageModelTrait)
    tokenizer = trait.model.tokeniser.tokenizer
    text = tokenizer.apply_chat_template(
        [{"role": turn.role, "content": turn.content} for turn in TURNS],
        tokenize=False,
        add_generation_prompt=True,
    )
    ids = tokenizer([text, "It is 4"], add_special_tokens=False)["input_ids"]
    (encoded,) = trait.model.encode(trait.inputs(SAMPLE))
    assert encoded.ids == ids[0] + ids[1]


def test_readers_of_one_text_get_the_turns_as_lines() -> None:
    embedding = make_trait("embedding_similarity", {"model": "m"})
    assert isinstance(embedding, EmbeddingSimilarity)
    assert embedding.inputs(SAMPLE) == [(PLAIN,), ("It is 4",)]
    pair = make_trait(
        "sequence_classifier", {"model": "m", "template": ["{prompt}", "{response} {reference}"]}
    )
    assert isinstance(pair, ModelTrait)
    assert list(pair.inputs(SAMPLE)) == [(PLAIN, "It is 4 #### 4")]


def test_the_limit_is_on_what_the_turns_hold() -> None:
    """The roles that `prompt` writes before them do not count."""
    characters = sum(len(turn.content) for turn in TURNS)
    assert len(SAMPLE.prompt) > characters
    assert check_text(SAMPLE, characters) is None
    failure = check_text(SAMPLE, characters - 1)
    assert failure is not None
    assert failure.field == "prompt"
    assert f"has {characters} characters" in failure.message
