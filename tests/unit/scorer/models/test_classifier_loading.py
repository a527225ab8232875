"""A classifier is ready only if it can score, and says why it is not."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, RobertaConfig, RobertaModel

from palmfolio_scorer.models.classifiers import ClassifierModel, ClassifierOptions
from palmfolio_scorer.models.classifiers.limits import position_limit
from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.registry import make_trait
from palmfolio_scorer.traits.sequence_classifier import SequenceClassifier
from tests.support.architectures.heads import head, objectives
from tests.support.counting_model import engine_on, served
from tests.support.tiny_models import BODY

SAMPLES = [Sample("Is it?", text) for text in ("yes", "no, it is not", "yes", "perhaps " * 9)]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A reward model with 19 objectives, which comes with its own code."""
    return str(objectives(tmp_path_factory.mktemp("model")))


def _trait(models: ModelStore, folder: object, **options: Any) -> SequenceClassifier:
    options = {"model": str(folder), "template": "{prompt} {response}"} | options
    trait = make_trait("sequence_classifier", options)
    trait.load(models)
    assert isinstance(trait, SequenceClassifier)
    return trait


def test_heads_of_one_model_are_traits_that_share_its_forward_passes(several: str) -> None:
    models = ModelStore("cpu")
    own = {"trust_remote_code": True, "head": "rewards"}
    traits = [_trait(models, several, label=i, **own) for i in range(19)]
    traits.append(_trait(models, several, trust_remote_code=True))
    (model,) = list(models)
    assert isinstance(model, ClassifierModel)
    assert model.heads == {"logits": slice(0, 1), "rewards": slice(1, 20)}
    passes: list[int] = []
    model._model.register_forward_pre_hook(
        lambda _, __, arguments: passes.append(len(arguments["input_ids"])), with_kwargs=True
    )

    async def score() -> Any:
        engine = engine_on(model, cached_outputs=0)
        named = [served(trait, f"trait-{i}") for i, trait in enumerate(traits)]
        table = await engine.score(SAMPLES, named)
        await engine.stop()
        return table.raw

    raw = asyncio.run(score())
    assert sum(passes) == 3, "four samples, of which two are equal"
    reference = AutoModelForSequenceClassification.from_pretrained(several, trust_remote_code=True)
    for sample, rewards in zip(SAMPLES, raw, strict=True):
        tokens = model.tokeniser.tokenizer(f"Is it? {sample.response}", return_tensors="pt")
        with torch.inference_mode():
            output = reference.eval()(**tokens)
        assert rewards[:19] == pytest.approx(output.rewards[0].tolist(), abs=1e-4)
        assert rewards[19] == pytest.approx(output.score.item(), abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "rewards"}, "label is required: the model has 19"),
        ({"head": "rewards", "label": 19}, r"label 19 is not in 0\.\.18"),
        ({"head": "rewards", "label": "LABEL_0"}, "unknown label"),
    ],
)
def test_a_wrong_objective_is_refused(several: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TraitLoadError, match=message):
        _trait(ModelStore("cpu"), several, trust_remote_code=True, **options)


def test_a_size_that_the_configuration_does_not_state_is_an_option(tmp_path: Path) -> None:
    folder = head("llama", tmp_path / "model", labels=1)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for name in ("id2label", "label2id", "num_labels"):
        config.pop(name, None)
    path.write_text(json.dumps(config))
    with pytest.raises(TraitLoadError, match=r"score\.weight of \(1, 32\).*set `num_labels: 1`"):
        _trait(ModelStore("cpu"), folder)
    trait = _trait(ModelStore("cpu"), folder, num_labels=1)
    assert trait.model.heads == {"logits": slice(0, 1)}
    assert trait.identity()["options"]["num_labels"] == 1
    with pytest.raises(TraitLoadError, match="has no head `rewards`"):
        _trait(ModelStore("cpu"), folder, num_labels=1, head="rewards")


def test_num_labels_that_is_not_given_keeps_the_version(tmp_path: Path) -> None:
    trait = _trait(ModelStore("cpu"), head("gpt2", tmp_path / "model", labels=1))
    assert not {"num_labels", "head"} & trait.identity()["options"].keys()


def test_a_tokeniser_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = head("llama", tmp_path / "model", labels=1)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    model.resize_token_embeddings(300)
    model.save_pretrained(folder)
    with pytest.raises(TraitLoadError, match=r"is not the model's.*the model's ids end at 299"):
        _trait(ModelStore("cpu"), folder)


def test_a_pair_that_the_model_cannot_tell_apart_is_refused(tmp_path: Path) -> None:
    folder = head("bert", tmp_path / "model", labels=1)
    path = folder / "config.json"
    config = json.loads(path.read_text()) | {"type_vocab_size": 1}
    path.write_text(json.dumps(config))
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = "bert.embeddings.token_type_embeddings.weight"
    weights[name] = weights[name][:1].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _trait(ModelStore("cpu"), folder)
    with pytest.raises(TraitLoadError, match="texts of 2 types; the model tells 1 apart"):
        _trait(ModelStore("cpu"), folder, template=["{prompt}", "{response}"])


def test_a_chat_template_that_fails_is_found_when_the_trait_is_loaded(tmp_path: Path) -> None:
    folder = head("llama", tmp_path / "model", labels=1)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no assistants here') }}")
    with pytest.raises(TraitLoadError, match=r"cannot be scored.*no assistants here"):
        _trait(ModelStore("cpu"), folder, template=None, chat_template=True)


def test_outputs_that_are_not_finite_are_found_when_the_model_is_loaded(tmp_path: Path) -> None:
    folder = head("gpt2", tmp_path / "model", labels=1)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        model.score.weight.fill_(np.inf)
    model.save_pretrained(folder)
    with pytest.raises(TraitLoadError, match="not finite"):
        _trait(ModelStore("cpu"), folder)


def test_a_model_that_reads_its_layers_weights_keeps_plain_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = head("t5", tmp_path / "model", labels=1)
    expected = ClassifierModel(ClassifierOptions(model=str(folder)), "cpu")
    # As for code that reads a weight in a way that cannot be seen in its source.
    monkeypatch.setattr("palmfolio_scorer.models.onednn._reads_weight", lambda *_: False)
    model = ClassifierModel(ClassifierOptions(model=str(folder)), "cpu")
    batch = model.encode([("yes",), ("no, it is not",)])
    assert model.forward(batch) == pytest.approx(expected.forward(batch), abs=1e-5)


@pytest.mark.parametrize(("padding", "limit"), [(0, 129), (1, 128), (5, 124)])
def test_positions_begin_after_the_padding_token(padding: int, limit: int) -> None:
    config = RobertaConfig(**BODY, vocab_size=300, pad_token_id=padding)
    model = RobertaModel(config).eval()
    assert position_limit(model) == limit
    with torch.inference_mode():
        model(torch.full((1, limit), 9))
        with pytest.raises((IndexError, RuntimeError)):
            model(torch.full((1, limit + 1), 9))


@pytest.mark.parametrize("overflow", ["truncate", "fail"])
def test_a_limit_of_a_few_tokens_is_no_obstacle(tmp_path: Path, overflow: str) -> None:
    folder = head("roberta", tmp_path / "model", labels=1)
    trait = _trait(ModelStore("cpu"), folder, max_tokens=8, overflow=overflow)
    assert trait.model.tokeniser.max_tokens == 8
