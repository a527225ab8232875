"""`palmfolio select` on the files that people have: leaderboards, and what `score` wrote."""

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from palmfolio.cli.files.evaluations.imports import read_evaluations
from palmfolio.cli.files.evaluations.settings import Missing, Scale, Settings
from palmfolio.cli.files.evaluations.table import LeftOut, read_table
from tests.support.cli_outcome import Outcome

Command = Callable[..., Outcome]

# In the form of public leaderboards; the numbers are invented.
OPEN_LLM = """eval_name,Precision,Model,Average,IFEval,BBH,Hub License,#Params (B),CO2 cost (kg)
one_bf16,bfloat16,org/one,30.5,80.1,29.9,apache-2.0,7.2,1.25
two_bf16,bfloat16,org/two,25.1,40.3,52.7,mit,13.0,3.5
three_f16,float16,org/three,20.2,45.0,31.0,llama3,70.0,9.75
"""
ARENA = """Rank,Model,Arena Score,95% CI,Votes,Organization,License
1,alpha,1402,+5/-4,"12,345",A,Proprietary
2,beta,1311,+3/-3,"98,765",B,MIT
"""
LM_EVAL = """model,acc,acc_stderr,acc_norm,acc_norm_stderr,seed
m1,0.60,0.030,0.65,0.03,1234
m2,0.80,0.010,0.61,0.01,1234
"""
MTEB = """number,Rank,Model,Memory Usage (GB),Average (56 datasets),Retrieval (15 datasets),STS
0,1,a,14.2,70.1,60.3%,82.5%
1,2,b,,65.0,61.9%,80.0%
"""


def _values(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome.err
    printed: dict[str, Any] = outcome.json
    return printed


CLUSTERED = """policy,prompt,cluster,a,b
x,one,t,1,0
x,two,t,0.5,0
x,three,,1,0.25
y,one,t,0,1
y,two,t,0,0.5
y,three,,0.25,1
"""


def test_a_column_names_prompts_that_were_drawn_together(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    file.write_text(CLUSTERED)
    table = read_table([file], Settings())
    assert table.traits == ("a", "b")
    assert table.clusters == ("cluster=t", "cluster=t", "prompt=three")
    printed = _values(command("select", str(file), "--delta", "0.5", "--json"))
    assert (printed["confidence"]["prompts"], printed["confidence"]["clusters"]) == (3, 2)
    shown = command("select", str(file), "--delta", "0.5")
    assert shown.code == 0 and "3 prompts in 2 clusters" in " ".join(shown.out.split())
    renamed = tmp_path / "r.csv"
    renamed.write_text(CLUSTERED.replace("cluster", "template"))
    fields = {"cluster": "template"}
    assert read_table([renamed], Settings(fields=fields)).clusters == table.clusters
    _, evaluations = read_evaluations([file], Settings())
    tags = [getattr(item.prompt, "tags", ()) for item in evaluations[:3]]
    assert tags == [("cluster=t",), ("cluster=t",), ()]


def test_a_prompt_is_in_one_cluster(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    file.write_text(CLUSTERED.replace("y,two,t", "y,two,u"))
    outcome = command("select", str(file), "--delta", "0.5")
    assert outcome.code != 0
    assert "cluster 'u' here and in 't'" in " ".join(outcome.err.split())
    file.write_text(CLUSTERED.replace(",t,", ",,"))
    assert read_table([file], Settings()).clusters is None


@pytest.mark.parametrize(
    ("content", "policy", "doubtful", "traits"),
    [
        (
            OPEN_LLM,
            "Model",
            "eval_name, Precision, Average, Hub License, #Params (B)",
            "IFEval,BBH,CO2 cost (kg)",
        ),
        (ARENA, "Model", "Rank, 95% CI, Votes, Organization, License", "Arena Score"),
        (LM_EVAL, "model", "acc_stderr, acc_norm_stderr, seed", "acc,acc_norm"),
        (
            MTEB,
            "Model",
            "number, Rank, Memory Usage (GB), Average (56 datasets)",
            "Retrieval (15 datasets),STS",
        ),
        ("policy,sample,help,harm\na,0,0.5,0.1\nb,0,0.3,0.4\n", "policy", "sample", "help,harm"),
        ("policy,help,harm,seed\na,0.5,0.6,0\nb,0.3,0.7,1\n", "policy", "seed", "help,harm"),
        ("policy,acc,std\na,0.5,0.6\nb,0.3,0.7\n", "policy", "std", "acc"),
        ("policy,acc,acc-SE\na,0.5,0.6\nb,0.3,0.7\n", "policy", "acc-SE", "acc"),
        ("policy,acc,Overall\na,0.5,0.6\nb,0.3,0.7\n", "policy", "Overall", "acc"),
        ("policy,acc,notes\na,0.5,good\nb,0.3,bad\n", "policy", "notes", "acc"),
        ("policy,acc,run id\na,0.5,0.1\nb,0.3,0.2\n", "policy", "run id", "acc"),
    ],
)
def test_columns_that_are_no_traits_are_named_and_left_out_when_told(
    command: Command, tmp_path: Path, content: str, policy: str, doubtful: str, traits: str
) -> None:
    (tmp_path / "v.csv").write_text(content)
    usual = ("select", "v.csv", "--policy-column", policy, "--scale", "minmax", "--size", "1")
    refused = command(*usual)
    assert refused.code == 2
    assert f"do not look like traits: {doubtful}; say which are: --traits {traits}\n" in refused.err
    told = Settings({"policy": policy}, traits=tuple(traits.split(",")), scale=Scale.MINMAX)
    assert read_table([tmp_path / "v.csv"], told).traits == told.traits


def test_a_leaderboard_is_scaled_in_the_direction_of_each_column(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "v.csv").write_text(OPEN_LLM)
    printed = _values(
        command(
            *("select", "v.csv", "--policy-column", "Model", "--scale", "minmax", "--json"),
            *("--traits", "IFEval,CO2 cost (kg)", "--lower-is-better", "CO2 cost (kg)"),
        )
    )
    # The first is the best on both.
    assert (printed["policies"], printed["gap"]["additive"]) == (["org/one"], 0.0)
    assert printed["scale"] == {
        "method": "minmax",
        "traits": {
            "IFEval": {"zero": 40.3, "one": 80.1},
            "CO2 cost (kg)": {"zero": 9.75, "one": 1.25},
        },
    }


def test_standard_deviations_have_the_same_size_on_every_trait(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "v.csv").write_text("policy,a,b\nx,0,10\ny,1,10\nz,1,20\nw,0,20\nv,1,70\n")
    usual = ("select", "v.csv", "--scale", "zscore", "--json")
    scale = _values(command(*usual))["scale"]["traits"]
    # Population deviations: 0.4898979 and 22.4499443; b spans 60 / 22.4499 = 2.67261 of them.
    assert scale["b"] == {"zero": 10.0, "one": pytest.approx(70.0)}
    assert scale["a"] == {"zero": 0.0, "one": pytest.approx(0.4898979 * 2.6726124)}
    lower = _values(command(*usual, "--lower-is-better", "a"))["scale"]["traits"]
    assert lower["a"] == {"zero": 1.0, "one": pytest.approx(1.0 - 0.4898979 * 2.6726124)}


def test_less_is_better_without_a_scale(command: Command, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("policy,harm\na,0.9\nb,0.2\n")
    usual = ("select", "v.csv", "--size", "1", "--json")
    assert _values(command(*usual))["policies"] == ["a"]
    assert _values(command(*usual, "--lower-is-better", "harm"))["policies"] == ["b"]
    outcome = command(*usual, "--lower-is-better", "harms")
    assert (outcome.code, "has no trait harms, named in --lower-is-better" in outcome.err) == (
        2,
        True,
    )


@pytest.mark.parametrize(
    ("scale", "content", "message"),
    [
        ("minmax", "policy,a,b\nx,1,2\ny,1,3\n", "note: traits"),
        ("zscore", "policy,a,b\nx,1,2\ny,1,3\n", "note: traits"),
        ("minmax", "policy,a\nx,1\ny,1\n", "all policies have equal values on every trait"),
        ("minmax", "policy,a\nx,-1e308\ny,1e308\n", "the values of a are too far apart"),
        ("minmax", "policy,a\nx,1e400\ny,1\n", "column a is 1e400; measure it"),
    ],
)
def test_what_cannot_be_scaled_is_named(
    command: Command, tmp_path: Path, scale: str, content: str, message: str
) -> None:
    (tmp_path / "v.csv").write_text(content)
    outcome = command("select", "v.csv", "--scale", scale, "--json")
    assert message in outcome.err
    if outcome.code == 0:
        assert outcome.json["traits"] == ["b"] and outcome.json["left_out"]["traits"] == ["a"]
    else:
        assert outcome.code == 2


@pytest.mark.parametrize(
    "blank", ["", " ", "N/A", "na", "NaN", "nan", "null", "None", "-", "–", "—", "?"]
)
def test_blanks_follow_a_rule(command: Command, tmp_path: Path, blank: str) -> None:
    (tmp_path / "v.csv").write_text(f"policy,a,b\nx,0.5,0.6\ny,{blank},0.2\nz,0.4,0.9\n")
    usual = ("select", "v.csv", "--json")
    refused = command(*usual)
    assert refused.code == 2
    assert f"row 3 (policy y), column a is {blank.strip() or 'empty'}; " in refused.err
    assert "--missing policies or --missing traits" in refused.err
    policies = read_table([tmp_path / "v.csv"], Settings(missing=Missing.POLICIES))
    assert (policies.policies, policies.left_out) == (("x", "z"), LeftOut(policies=("y",)))
    traits = read_table([tmp_path / "v.csv"], Settings(missing=Missing.TRAITS))
    assert (traits.values, traits.left_out) == (((0.6,), (0.2,), (0.9,)), LeftOut(traits=("a",)))
    assert command(*usual, "--missing", "prompts").code == 2


def test_what_is_left_out_is_told(command: Command, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("policy,a,b\nx,0.5,0.6\ny,,0.2\n")
    outcome = command("select", "v.csv", "--json", "--missing", "policies")
    assert _values(outcome)["left_out"] == {"policies": ["y"], "traits": [], "prompts": 0}
    assert outcome.err.startswith("note: policies with missing values are left out: y\n")


def test_where_all_is_missing_nothing_is_selected(command: Command, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("policy,a,b\nx,,0.6\ny,0.1,\n")
    for rule, message in (("policies", "every policy has"), ("traits", "every trait has")):
        outcome = command("select", "v.csv", "--missing", rule)
        assert (outcome.code, message in outcome.err) == (2, True)
    (tmp_path / "w.csv").write_text("policy,prompt,a\nx,hi,1\ny,ho,1\n")
    outcome = command("select", "w.csv")
    assert (outcome.code, "has no prompt on which every policy" in outcome.err) == (2, True)


def test_policies_are_compared_on_the_prompts_that_all_have(
    command: Command, tmp_path: Path
) -> None:
    rows = ["x,hi,0.5", "x,ho,1", "x,hm,0.4", "y,hi,0.6", "y,hm,", "z,hi,0.2", "z,ho,0", "z,hm,1"]
    rows += ["x,why,0.5", "y,why,0.6", "z,why,0.1"]
    (tmp_path / "v.csv").write_text("policy,prompt,a\n" + "\n".join(rows))
    outcome = command("select", "v.csv", "--size", "1", "--json")
    printed = _values(outcome)
    assert printed["policies"] == ["y"]
    assert (printed["confidence"]["prompts"], printed["left_out"]["prompts"]) == (2, 2)
    assert "note: 2 prompts are left out" in outcome.err
    refused = command("select", "v.csv", "--missing", "refuse")
    assert refused.code == 2 and "row 6 (policy y), column a is empty" in refused.err
    assert "policy y has no row for prompt 'ho'" in refused.err
    without = _values(command("select", "v.csv", "--missing", "policies", "--size", "1", "--json"))
    assert (without["policies"], without["left_out"]["policies"]) == (["x"], ["y"])


def test_all_faults_are_told_at_once(command: Command, tmp_path: Path) -> None:
    rows = ["x,high,0.2", "y,0.5,1_0e-2", ",1,1", "z,2,0.3,4", "w,٣,inf", "v,0x1,1e", "v,1,1"]
    (tmp_path / "v.csv").write_text("policy,a,b\nok,0,0\n" + "\n".join(rows))
    outcome = command("select", "v.csv")
    assert outcome.code == 2
    assert "row 6 has 4 fields" in outcome.err
    (tmp_path / "v.csv").write_text("policy,a,b\nok,0,0\n" + "\n".join([*rows[:3], *rows[4:]]))
    outcome = command("select", "v.csv")
    assert outcome.err.startswith("error: v.csv has 8 faults:\n")
    for problem in (
        "row 3 (policy x), column a is 'high', not a number",
        "row 4 (policy y), column b is '1_0e-2', not a number",
        "row 5: column policy is empty",
        "row 6 (policy w), column a is '٣', not a number",
        "row 6 (policy w), column b is inf",
        "row 7 (policy v), column a is '0x1', not a number",
        "row 7 (policy v), column b is '1e', not a number",
        "row 8: policy v is there twice",
    ):
        assert problem in outcome.err


@pytest.mark.parametrize(
    ("cell", "value"),
    [("50%", 0.5), (" 5e-1 ", 0.5), ("+.5", 0.5), ("5.E-1", 0.5), ("0", 0.0), ("100%", 1.0)],
)
def test_numbers_have_many_forms(tmp_path: Path, cell: str, value: float) -> None:
    (tmp_path / "v.csv").write_text(f"policy,a\nx,{cell}\n")
    assert read_table([tmp_path / "v.csv"], Settings()).values == ((value,),)


def _formats(rows: list[dict[str, Any]]) -> dict[str, bytes]:
    table = pyarrow.Table.from_pylist(rows)
    parquet = io.BytesIO()
    pyarrow.parquet.write_table(table, parquet)
    lines = "\n".join(map(json.dumps, rows)).encode()
    tabs = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
    return {
        "v.jsonl": lines,
        "v.JSONL.gz": gzip.compress(lines),
        "v.json": json.dumps(rows).encode(),
        "v.parquet": parquet.getvalue(),
        "v.tsv": "\n".join(tabs).encode(),
    }


ROWS = [{"model": "m", "acc": 0.5, "kind": 1}, {"model": "n", "acc": 1.0, "kind": 0}]


@pytest.mark.parametrize("name", _formats(ROWS))
def test_every_format_is_selected_from(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(_formats(ROWS)[name])
    table = read_table([tmp_path / name], Settings({"policy": "model"}))
    assert (table.policies, table.traits) == (("m", "n"), ("acc", "kind"))
    assert table.values == ((0.5, 1.0), (1.0, 0.0))


def test_standard_input_is_selected_from(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.TextIOWrapper(io.BytesIO(b"policy,a\nx,1\ny,0\n"))
    monkeypatch.setattr(sys, "stdin", content)
    assert _values(command("select", "-", "--format", "csv", "--json"))["policies"] == ["x"]


def _scored(policy: str | None, prompt: Any, reward: float | None, version: str = "1") -> str:
    row = {"line": 1, "prompt": prompt, "response": "r", "normalised": {"kind": reward}}
    row |= {"raw": {"kind": 7.0}, "versions": {"kind": version}, "error": None}
    return json.dumps(row | ({"policy": policy} if policy else {}))


def test_what_score_wrote_is_read_back(command: Command, tmp_path: Path) -> None:
    rows = [_scored("x", "hi", 0.2), _scored("y", "hi", 0.9), _scored("x", [{"a": 1}], 0.1)]
    (tmp_path / "r.jsonl").write_text("\n".join([*rows, _scored("y", [{"a": 1}], None)]))
    printed = _values(command("select", "r.jsonl", "--size", "1", "--json"))
    assert (printed["policies"], printed["traits"]) == (["y"], ["kind"])
    assert printed["left_out"]["prompts"] == 1


def test_each_file_may_be_a_policy(command: Command, tmp_path: Path) -> None:
    (tmp_path / "base-1.5.jsonl").write_text(_scored(None, "hi", 0.2))
    (tmp_path / "tuned.jsonl.gz").write_bytes(gzip.compress(_scored(None, "hi", 0.7).encode()))
    printed = _values(
        command("select", "base-1.5.jsonl", "tuned.jsonl.gz", "--size", "1", "--json")
    )
    assert (printed["policies"], printed["candidates"]) == (["tuned"], 2)
    alone = command("select", "tuned.jsonl.gz")
    assert (alone.code, "give one file for each policy" in alone.err) == (2, True)


def test_faults_of_several_files_name_their_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("acc\nx\n1\n")
    (tmp_path / "b.csv").write_text("acc\n7\n")
    outcome = command("select", "a.csv", "b.csv")
    assert outcome.code == 2
    assert "a.csv, row 2 (policy a), column acc is 'x'" in outcome.err
    assert "b.csv, row 2 (policy b), column acc is 7, outside [0, 1]" in outcome.err


def test_rewards_of_different_versions_do_not_compare(command: Command, tmp_path: Path) -> None:
    lines = [_scored("x", "hi", 0.2, "1"), _scored("y", "hi", 0.9, "2")]
    (tmp_path / "r.jsonl").write_text("\n".join(lines))
    outcome = command("select", "r.jsonl")
    assert outcome.code == 2
    assert "has rewards of kind by 2 versions, which do not compare: 1, 2" in outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--traits", "b"), "has no column `b`, only policy, a"),
        (("--traits", "a,a"), "the trait a is given twice"),
        (("--field", "prompt=q"), "has no column `q`, only policy, a"),
        (("--field", "trait=a"), "the field 'trait' is unknown; known: policy, prompt, sample"),
        (("--policy-column", "m", "--field", "policy=m"), "not both"),
        (("--policy-column", "m"), "has no column `m`, only policy, a"),
        (("--format", "xls"), "the format 'xls' is unknown"),
        (("--scale", "rank"), "'rank' is not one of"),
        (("--missing", "rows"), "'rows' is not one of"),
    ],
)
def test_options_that_do_not_fit_are_named(
    command: Command, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "v.csv").write_text("policy,a\nx,1\n")
    outcome = command("select", "v.csv", *options)
    assert (outcome.code, message in outcome.err) == (2, True), outcome.err
