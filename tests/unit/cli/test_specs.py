"""Portfolio files: what is accepted, and how a mistake is named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import palmfolio
from palmfolio.cli.files.portfolio_spec import load_portfolio
from palmfolio.files import read_prompts

CONTENT: dict[str, Any] = {
    "portfolio": "quickstart",
    "base_model": "smollm2-135m-instruct",
    "traits": ["relevance", "brevity"],
    "training_prompts": "train.txt",
    "evaluation_prompts": "eval.jsonl",
    "strategy": {
        "explicit": [
            {"weights": {"relevance": 1, "brevity": 1}},
            {"weights": {"brevity": 1.0}, "initial_training": 1, "grpo": {"steps": 6}},
        ]
    },
    "grpo": {"steps": 8},
    "delta": 0.05,
    "max_size": 4,
}


def _write(folder: Path, **changes: Any) -> Path:
    (folder / "train.txt").write_text("first prompt\n\n  second prompt  \n")
    (folder / "eval.jsonl").write_text(
        '{"prompt": "third\\nprompt"}\n{"prompt": "2 + 2?", "reference": "4"}\n'
    )
    path = folder / "portfolio.yaml"
    content = {key: value for key, value in {**CONTENT, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_file_becomes_a_spec(tmp_path: Path) -> None:
    loaded = load_portfolio(_write(tmp_path))
    assert loaded.portfolio_id == "quickstart"
    assert list(map(str, loaded.training_prompts)) == ["first prompt", "second prompt"]
    riddle = palmfolio.Prompt("2 + 2?", reference="4")
    assert loaded.evaluation_prompts == (palmfolio.Prompt("third\nprompt"), riddle)
    spec = loaded.with_prompt_sets("promptSets/1", "promptSets/2")
    assert (spec.training_prompt_set, spec.evaluation_prompt_set) == (
        "promptSets/1",
        "promptSets/2",
    )
    assert isinstance(spec.strategy, palmfolio.ExplicitStrategy)
    first, second = spec.strategy.trainings
    assert first.weights == {"relevance": 1.0, "brevity": 1.0}
    assert second.initial_training == 1
    assert second.grpo == palmfolio.GrpoConfig(steps=6)
    assert (spec.delta, spec.max_size, spec.seed) == (0.05, 4, 0)


def test_the_protocols_form_of_a_strategy_is_accepted_too(tmp_path: Path) -> None:
    strategy = {"explicit": {"trainings": [{"weights": {"brevity": 1}}]}}
    spec = load_portfolio(_write(tmp_path, strategy=strategy)).spec
    assert isinstance(spec.strategy, palmfolio.ExplicitStrategy)
    assert len(spec.strategy.trainings) == 1


def test_a_grid_needs_no_settings(tmp_path: Path) -> None:
    spec = load_portfolio(_write(tmp_path, strategy={"grid": {}})).spec
    assert spec.strategy == palmfolio.GridStrategy()


def test_exponents_without_a_point_are_numbers(tmp_path: Path) -> None:
    path = _write(tmp_path)
    path.write_text(path.read_text().replace("steps: 8", "learning_rate: 5e-4"))
    assert load_portfolio(path).spec.grpo.learning_rate == 5e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"portfolio": None}, "portfolio is required"),
        ({"training_prompts": None}, "training_prompts is required"),
        ({"base_model": None}, "base_model is required"),
        ({"epsilonn": 0.1}, "epsilonn is unknown; known: .*epsilon"),
        ({"grpo": {"lr": 1}}, r"grpo\.lr is unknown"),
        ({"grpo": {"steps": "many"}}, r"grpo\.steps must be a whole number, not 'many'"),
        ({"grpo": {"steps": True}}, r"grpo\.steps must be a whole number"),
        ({"delta": "small"}, "delta must be a number"),
        ({"traits": "relevance"}, "traits must be a list"),
        ({"strategy": {}}, r"strategy must be a mapping with exactly one of explicit: \{…\}, grid"),
        ({"strategy": "grid"}, "strategy must be a mapping with exactly one of"),
        ({"strategy": {"grid": {}, "uniform": {}}}, "exactly one of"),
        ({"strategy": {"random": {}}}, "exactly one of"),
        (
            {"strategy": {"uniform": {"steps": 4}}},
            r"strategy\.uniform\.steps is unknown; known: res",
        ),
        ({"strategy": {"explicit": [{"grpo": {}}]}}, r"trainings\[0\]\.weights is required"),
        (
            {"strategy": {"explicit": [{"weights": {"brevity": "x"}}]}},
            r"weights\.brevity must be a number",
        ),
        ({"training_prompt_set": "promptSets/1"}, "use training_prompts: FILE"),
        ({"training_prompts": "absent.txt"}, r"cannot read .*absent\.txt"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(palmfolio.ConfigurationError, match=message):
        load_portfolio(_write(tmp_path, **changes))


def test_prompt_files_may_have_columns_of_other_names(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("question,answer\n2 + 2?,4\n")
    named = {"file": "q.csv", "fields": {"prompt": "question", "reference": "answer"}}
    loaded = load_portfolio(_write(tmp_path, evaluation_prompts=named))
    assert loaded.evaluation_prompts == (palmfolio.Prompt("2 + 2?", reference="4"),)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, r"training_prompts\.file is required"),
        ({"file": ""}, "training_prompts is required: training_prompts: FILE"),
        ({"file": "train.txt", "columns": {}}, r"training_prompts\.columns is unknown"),
        ({"file": "train.txt", "fields": {"question": "prompt"}}, "field 'question' is unknown"),
        ({"file": "train.txt", "format": "xls"}, "format 'xls' is unknown"),
        (["train.txt"], "training_prompts is required"),
    ],
)
def test_mistakes_about_prompt_files_are_named(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(palmfolio.ConfigurationError, match=message):
        load_portfolio(_write(tmp_path, training_prompts=value))


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("traits: [a\n")
    with pytest.raises(palmfolio.ConfigurationError, match=r"broken\.yaml is not YAML"):
        load_portfolio(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", "\n \n", "holds no prompts"),
        ("broken.jsonl", "{", "line 1: not JSON"),
        ("number.jsonl", '{"prompt": "a", "reference": [4]}', "`reference` must be a text"),
        ("missing.jsonl", '{"prompt": "a"}\n{"text": "b"}', "line 2: needs a `prompt`"),
    ],
)
def test_prompt_files_are_checked(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(palmfolio.ConfigurationError, match=message):
        read_prompts(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        "[" * 5000,
        "a: " + "{b: " * 3000,
        "date: 2024-13-45",
        'number: !!int ""',
        'number: !!float ""',
        "time: !!timestamp x",
        "number: " + "1" * 5000,
        "? [a]\n: b",
        "a: *unknown",
        "a: !!python/object:os.system x",
        "\x00",
    ],
)
def test_what_is_not_yaml_is_told_in_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(palmfolio.ConfigurationError, match=r"broken\.yaml is not YAML: ."):
        load_portfolio(path)


@pytest.mark.parametrize("number", ["1_0e-2", "٣", "0x1p3", "infinity", "1e", ""])
def test_numbers_are_read_strictly(tmp_path: Path, number: str) -> None:
    with pytest.raises(palmfolio.ConfigurationError, match="delta must be a number"):
        load_portfolio(_write(tmp_path, delta=number))
    assert load_portfolio(_write(tmp_path, delta="5e-2")).spec.delta == 0.05
