"""The prompts of the example rlvr-gsm, and its files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from palmfolio.cli.files.portfolio_spec import load_portfolio
from palmfolio.files import read_prompts
from palmfolio_scorer.traits.catalogue.presets import preset_text

EXAMPLE = Path(__file__).parents[3] / "examples" / "rlvr-gsm"
GSM8K = Path(__file__).parents[4] / "shared" / "data" / "gsm8k_test_first300.jsonl"


def write_prompts(problems: Path, folder: Path, *options: str) -> None:
    """Runs the example's script."""
    command = [sys.executable, str(EXAMPLE / "prompts.py"), str(problems), "--output", str(folder)]
    subprocess.run([*command, *options], check=True, capture_output=True)


def problem(number: int, steps: int) -> dict[str, str]:
    """A problem whose solution has so many steps; longer with its number."""
    solution = "".join(f"<<{number}+{i}={number + i}>>\n" for i in range(steps))
    return {"question": f"What is {'x' * number}?", "answer": f"{solution}#### {number}"}


def test_the_shortest_problems_of_two_steps_become_prompts(tmp_path: Path) -> None:
    problems = [problem(number, 1 + number % 4) for number in reversed(range(1, 201))]
    file = tmp_path / "gsm8k.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in problems), encoding="utf-8")
    write_prompts(file, tmp_path)
    training, evaluation = (
        read_prompts(tmp_path / f"{name}_prompts.jsonl") for name in ("train", "eval")
    )
    assert len(training) == len(evaluation) == 40
    taken = [int(str(prompt.reference).rsplit("#### ", 1)[1]) for prompt in training + evaluation]
    assert sorted(taken) == [number for number in range(1, 201) if number % 4 < 2][:80]
    for prompt in training + evaluation:
        assert [turn.role for turn in prompt.messages] == ["system", "user", "assistant", "user"]
    write_prompts(file, tmp_path, "--all")
    every = [read_prompts(tmp_path / f"{name}_prompts.jsonl") for name in ("train", "eval")]
    assert [len(prompts) for prompts in every] == [100, 100]


@pytest.mark.skipif(not GSM8K.exists(), reason="GSM8K is not at hand")
@pytest.mark.parametrize("spec", ["portfolio.yaml", "gpu/portfolio.yaml"])
def test_the_portfolio_files_are_read_with_gsm8k(tmp_path: Path, spec: str) -> None:
    example = tmp_path / "example"
    shutil.copytree(EXAMPLE, example, ignore=shutil.ignore_patterns("*.jsonl", "state", "logs"))
    write_prompts(GSM8K, example)
    wanted = load_portfolio(example / spec)
    assert len(wanted.training_prompts) == len(wanted.evaluation_prompts) == 40
    assert not set(wanted.training_prompts) & set(wanted.evaluation_prompts)
    assert all(prompt.reference for prompt in wanted.training_prompts + wanted.evaluation_prompts)
    services = yaml.safe_load((example / spec).with_name("services.yaml").read_text())
    assert list(services["trainer"]["base_models"]) == [wanted.spec.base_model]


def test_the_traits_are_the_presets_but_for_the_scale_of_brevity() -> None:
    own = yaml.safe_load((EXAMPLE / "traits.yaml").read_text(encoding="utf-8"))["traits"]
    preset = yaml.safe_load(preset_text("rlvr-gsm"))["traits"]
    assert [trait["name"] for trait in own] == ["correct", "brief", "clear"]
    for mine, theirs in zip(own, preset, strict=True):
        scales = [trait.pop("normalisation") for trait in (mine, theirs)]
        assert mine == theirs
        assert (scales[0] == scales[1]) == (mine["name"] != "brief")
