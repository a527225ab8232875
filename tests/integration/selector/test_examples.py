"""The examples of the presets, from their files to a portfolio, with tiny models."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import palmfolio
from palmfolio.cli.files.portfolio_spec import load_portfolio
from palmfolio_scorer.traits.catalogue.presets import preset_text
from tests.support.services.processes import ServiceProcess, start_service
from tests.support.tiny_models import classifier, score_model

EXAMPLES = Path(__file__).parents[3] / "examples"
# Rows as the data sets have them: pairs of dialogues, and prompts with two answers.
DIALOGUE = "\n\nHuman: Name {} colours.\n\nAssistant: Red.\n\nHuman: Why?\n\nAssistant: {}"
HH_RLHF = [
    {"chosen": DIALOGUE.format(n, "No."), "rejected": DIALOGUE.format(n, "Hm.")}
    for n in range(1, 5)
]
SAFE_RLHF = [
    {"prompt": f"Is it safe to eat {n} stones?", "response_0": "No.", "response_1": "Yes."}
    for n in range(1, 5)
]


def models_of(preset: str, folder: Path) -> dict[str, Path]:
    """Tiny models of the architectures of a preset's models."""
    if preset == "safety-alignment":
        model = score_model(folder / "score", bias=True)
        return {f"PKU-Alignment/beaver-7b-v1.0-{kind}": model for kind in ("reward", "cost")}
    humour = classifier("distilbert", folder / "humour", labels=2)
    config = json.loads((humour / "config.json").read_text())
    config |= {"id2label": {"0": "NO_HUMOR", "1": "HUMOR"}, "label2id": {"NO_HUMOR": 0, "HUMOR": 1}}
    (humour / "config.json").write_text(json.dumps(config))
    gpt2 = classifier("gpt2", folder / "gpt2")
    ray = {f"Ray2333/gpt2-large-{kind}-reward_model": gpt2 for kind in ("helpful", "harmless")}
    return {**ray, "mohameddhiab/humor-no-humor": humour}


def traits_of(preset: str, folder: Path) -> list[dict[str, Any]]:
    """The preset's traits with tiny models."""
    models = models_of(preset, folder)
    traits = yaml.safe_load(preset_text(preset))["traits"]
    return [{**trait, "model": str(models[trait["model"]])} for trait in traits]


@pytest.mark.parametrize(
    ("preset", "rows", "turns"),
    [("helpful-assistants", HH_RLHF, 3), ("safety-alignment", SAFE_RLHF, 1)],
)
def test_an_example_builds_a_portfolio(
    preset: str, rows: list[dict[str, str]], turns: int, tmp_path: Path, tiny_base_model: Path
) -> None:
    example = tmp_path / "example"
    shutil.copytree(EXAMPLES / preset, example, ignore=shutil.ignore_patterns("*.jsonl", "state"))
    for name in ("train_prompts.jsonl", "eval_prompts.jsonl"):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (example / name).write_text(lines, encoding="utf-8")
    wanted = load_portfolio(example / "portfolio.yaml")
    services = yaml.safe_load((example / "services.yaml").read_text())
    if (own := example / "traits.yaml").exists():
        names = [trait["name"] for trait in yaml.safe_load(own.read_text())["traits"]]
        assert tuple(names) == wanted.spec.traits
    else:
        assert services["scorer"]["preset"] == preset
    assert list(services["trainer"]["base_models"]) == [wanted.spec.base_model]
    assert all(len(prompt.messages) == turns or turns == 1 for prompt in wanted.evaluation_prompts)
    base = tmp_path / "base"
    shutil.copytree(tiny_base_model, base)
    if (template := example / "chat_template.jinja").exists():
        shutil.copy(template, base)
    ends = [{trait: 1.0} for trait in wanted.spec.traits[:2]]
    small = dataclasses.replace(
        wanted.spec,
        strategy=palmfolio.ExplicitStrategy(tuple(map(palmfolio.ExplicitTraining, ends))),
        grpo=palmfolio.GrpoConfig(
            steps=1, prompts_per_step=2, completions_per_prompt=2, max_completion_tokens=8
        ),
        sampling=dataclasses.replace(wanted.spec.sampling, max_tokens=8),
        max_trainings=2,
    )
    processes: list[ServiceProcess] = []
    addresses: dict[str, str] = {}

    def start(name: str, **config: object) -> None:
        others = {key: {"address": address} for key, address in addresses.items()}
        processes.append(start_service(name, {**others, **config}, tmp_path / name))
        addresses[name] = processes[-1].address

    try:
        start("scorer", traits=traits_of(preset, tmp_path / "models"), threads=1)
        start(
            "trainer",
            state_dir=str(tmp_path / "trainer" / "state"),
            base_models={wanted.spec.base_model: str(base)},
            threads=1,
            sampling_threads=1,
        )
        start("selector", state_dir=str(tmp_path / "selector" / "state"))
        with palmfolio.Client(addresses) as client:
            training = client.selector.create_prompt_set(wanted.training_prompts)
            evaluation = client.selector.create_prompt_set(wanted.evaluation_prompts)
            spec = dataclasses.replace(wanted, spec=small).with_prompt_sets(
                training.name, evaluation.name
            )
            built = client.selector.build_portfolio(preset, spec).result(timeout=240)
            scored = [row for row in client.selector.list_evaluations() if row.prompt]
    finally:
        for process in reversed(processes):
            process.stop()
    assert built.state is palmfolio.PortfolioState.READY and not built.failed_trainings
    assert built.certificate is not None and len(built.candidates) == 3
    assert {row.prompt for row in scored} == set(wanted.evaluation_prompts)
    assert {row.trait for row in scored} == set(wanted.spec.traits)
