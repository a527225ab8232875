"""Commands against the three real services: import, select, route, train, sample, delete."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from palmfolio.cli.app import run
from tests.support.cli_outcome import Outcome
from tests.support.services.processes import ServiceProcess

README = Path(__file__).parents[3] / "README.md"

Command = Callable[..., Outcome]

EVALUATIONS = """\
policy,prompt,brevity,warmth
short,Say hello.,0.9,0.1
short,What is rain?,0.8,0.2
kind,Say hello.,0.2,0.9
kind,What is rain?,0.1,0.8
middling,Say hello.,0.3,0.3
middling,What is rain?,0.3,0.3
"""


@pytest.fixture
def command(
    scorer_process: ServiceProcess,
    trainer_process: ServiceProcess,
    selector_by_url: ServiceProcess,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    """Runs a command with `--json` in an empty folder; it must succeed."""
    addresses = {
        "scorer": scorer_process.address,
        "trainer": trainer_process.address,
        "selector": selector_by_url.address,
    }
    (tmp_path / "endpoints.json").write_text(json.dumps(addresses))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PALMFOLIO_ENDPOINTS", "endpoints.json")

    def execute(*arguments: str, code: int = 0) -> Outcome:
        ended = run([*arguments, "--json"])
        written = capsys.readouterr()
        assert ended == code, written.err
        return Outcome(ended, written.out, written.err)

    return execute


def test_from_a_file_of_evaluations_to_a_route(command: Command, tmp_path: Path) -> None:
    (tmp_path / "study.csv").write_text(EVALUATIONS)
    stored = command("evaluations", "import", "study.csv", "--source", "commands").json
    assert (stored["rows"], stored["policies"]) == (6, 3)
    listed = command("evaluations", "--source", "commands", "--trait", "warmth").json
    assert {row["policy"] for row in listed} == {
        "policies/short",
        "policies/kind",
        "policies/middling",
    }
    selected = command(
        *("portfolios", "select", "--prompt-set", stored["prompt_set"], "--source", "commands"),
        *("--traits", "brevity,warmth", "--delta", "0.05", "--save", "study"),
    ).json
    members = {item["policy"] for item in selected["portfolio"]["candidates"] if item["selected"]}
    assert members == {"policies/short", "policies/kind"}
    assert [item["name"] for item in command("portfolios").json] == ["portfolios/study"]
    route = command("route", "--portfolio", "study", "--weights", "warmth=1").json
    assert route["policy"] == "policies/kind"
    command("portfolio", "delete", "study")
    assert "portfolios/study" in command("portfolio", "show", "study", code=1).err


def test_from_training_a_policy_to_deleting_it(command: Command, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(
        "prompts_per_step: 1\ncompletions_per_prompt: 2\nmax_completion_tokens: 8\n"
    )
    asked = ("train", "--weights", "brevity=3,warmth=1", "--prompt", "Say hello.")
    chosen = ("--settings", "settings.yaml", "--steps", "1", "--seed", "11")
    trained = command(*asked, *chosen).json
    assert trained["state"] == "ready" and trained["spec"]["method"]["grpo"]["steps"] == 1
    assert command(*asked, *chosen).json["name"] == trained["name"]
    assert command("policy", "show", trained["name"]).json["adapter"] == trained["adapter"]
    answers = command(
        *("generate", "--policy", trained["name"], "--prompt", "Hi", "--max-tokens", "4")
    ).json
    assert [item["policy"] for item in answers] == [trained["name"]]
    assert "training" in {row["kind"] for row in command("operations").json}
    command("policies", "delete", trained["name"])
    assert trained["name"] not in {item["name"] for item in command("policies").json}


def test_the_readme_s_example_runs_as_it_stands(command: Command, tmp_path: Path) -> None:
    # A portfolio of that name is all that the quickstart adds to these services.
    (base_model,) = (item for item in command("policies").json if item["is_base_model"])
    rows = ("policy,brevity,warmth", f"{base_model['name']},0.5,0.5")
    (tmp_path / "base.csv").write_text("\n".join(rows))
    stored = command("evaluations", "import", "base.csv", "--source", "readme").json
    chosen = ("--source", "readme", "--traits", "brevity,warmth", "--size", "1")
    asked = ("--prompt-set", stored["prompt_set"], *chosen, "--save", "quickstart")
    command("portfolios", "select", *asked)
    (tmp_path / "palmfolio-quickstart").mkdir()
    (tmp_path / "endpoints.json").rename(tmp_path / "palmfolio-quickstart" / "endpoints.json")
    (code,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "within 0.000 of the best" in ended.stdout
