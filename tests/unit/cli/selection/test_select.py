"""`palmfolio select` on real files: its answers against exhaustive search, and its complaints."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import palmfolio_palm as palm
from tests.support.cli_outcome import Outcome

Command = Callable[..., Outcome]
Floats = NDArray[np.float64]


def _write(path: Path, V: Floats) -> str:
    lines = ["policy," + ",".join(f"t{i}" for i in range(V.shape[1]))]
    lines += [f"p{i}," + ",".join(repr(float(x)) for x in row) for i, row in enumerate(V)]
    path.write_text("\n".join(lines))
    return str(path)


def _subsets(n: int) -> Iterator[tuple[int, ...]]:
    for k in range(1, n + 1):
        yield from itertools.combinations(range(n), k)


def _gap(V: Floats, members: tuple[int, ...], eps: float) -> float:
    """By one linear program per candidate, which shares no code with the search."""
    return palm.verify(V, np.array(members), eps).additive


def _smallest(V: Floats, eps: float, delta: float) -> int:
    return next(
        len(P) for P in _subsets(len(V)) if palm.certificate(V, P, eps).additive <= delta + 1e-9
    )


@pytest.mark.slow
def test_it_runs_as_a_program(tmp_path: Path) -> None:
    V = np.array([[1, 0, 0.1], [0.9, 0.5, 0.2], [0.5, 0.9, 0.2], [0, 1, 0.1], [0.1, 0.1, 0.9]])
    program = (sys.executable, "-m", "palmfolio", "select", _write(tmp_path / "v.csv", V))
    limits = ("--epsilon", "0.05", "--delta", "0.05", "--json")
    done = subprocess.run((*program, *limits), capture_output=True, text=True, check=True)
    printed = json.loads(done.stdout)
    assert list(printed)[:7] == [
        *("policies", "size", "lower_bound", "optimal", "epsilon", "delta", "certificate")
    ]
    assert printed["policies"] == ["p1", "p2", "p4"]
    assert (printed["size"], printed["lower_bound"], printed["optimal"]) == (3, 3, True)
    assert (printed["epsilon"], printed["delta"]) == (0.05, 0.05)
    assert printed["certificate"]["additive"] == pytest.approx(0.05)
    assert set(printed["certificate"]["worst_weights"]) == {"t0", "t1", "t2"}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.slow
def test_it_is_as_small_as_exhaustive_search(command: Command, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    V = rng.dirichlet(np.ones(2 + seed % 3), 6) ** 0.6
    eps, delta = ((0.05, 0.02), (0.0, 0.1))[seed % 2]
    limits = ("--epsilon", str(eps), "--delta", str(delta), "--json")
    outcome = command("select", _write(tmp_path / "v.csv", V), *limits)
    members = tuple(int(name[1:]) for name in outcome.json["policies"])
    exact = _gap(V, members, eps)
    assert outcome.json["certificate"]["additive"] == pytest.approx(exact, abs=1e-7)
    assert exact <= delta + 1e-7
    assert outcome.json["size"] == outcome.json["lower_bound"] == _smallest(V, eps, delta)


def test_only_a_size_gives_the_best_of_that_size(command: Command, tmp_path: Path) -> None:
    V = np.random.default_rng(5).dirichlet(np.ones(3), 8)
    printed = command("select", _write(tmp_path / "v.csv", V), "--size", "3", "--json").json
    best = min(palm.certificate(V, P).additive for P in itertools.combinations(range(8), 3))
    assert (len(printed["policies"]), printed["optimal"]) == (3, True)
    assert printed["certificate"]["additive"] == pytest.approx(best, abs=2e-6)


@pytest.mark.slow
def test_a_size_that_cannot_meet_the_target_is_infeasible(command: Command, tmp_path: Path) -> None:
    V = np.eye(3)
    file = _write(tmp_path / "v.csv", V)
    outcome = command("select", file, "--delta", "0.1", "--size", "2", "--json")
    assert (outcome.code, outcome.out) == (1, "")
    assert "no portfolio of 2 policies meets" in outcome.err
    assert "gap of 1, at the weights" in outcome.err
    assert command("select", file, "--delta", "0.1", "--size", "3", "--json").json["size"] == 3


def test_greedy_is_certified_and_claims_no_proof(command: Command, tmp_path: Path) -> None:
    V = np.random.default_rng(7).dirichlet(np.ones(3), 60) ** 0.5
    file = _write(tmp_path / "v.csv", V)
    printed = command("select", file, "--delta", "0.03", "--method", "greedy", "--json").json
    members = tuple(int(name[1:]) for name in printed["policies"])
    assert _gap(V, members, 0.0) <= 0.03 + 1e-7
    assert (printed["optimal"], printed["lower_bound"]) == (False, 1)


def test_an_out_of_time_search_has_an_honest_bound(command: Command, tmp_path: Path) -> None:
    V = np.abs(np.random.default_rng(1).standard_normal((150, 4)))
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    file = _write(tmp_path / "v.csv", V)
    printed = command("select", file, "--epsilon", "0.03", "--time-limit", "0.5", "--json").json
    members = tuple(int(name[1:]) for name in printed["policies"])
    assert palm.certificate(V, members, 0.03).additive <= 1e-7
    assert 1 <= printed["lower_bound"] <= printed["size"]
    assert printed["optimal"] == (printed["lower_bound"] == printed["size"])


@pytest.mark.slow
def test_a_search_that_ends_early_keeps_a_small_cover(command: Command, tmp_path: Path) -> None:
    V = np.abs(np.random.default_rng(2).standard_normal((1000, 6)))
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    file = _write(tmp_path / "v.csv", V)
    printed = command("select", file, "--epsilon", "0.05", "--time-limit", "6", "--json").json
    members = tuple(int(name[1:]) for name in printed["policies"])
    assert palm.certificate(V, members, 0.05).additive <= 1e-7
    assert 1 < printed["lower_bound"] <= printed["size"] < 600


def _prompts(path: Path, X: Floats) -> str:
    rows = [f'p{p},"say, {j}",{X[p, j, 0]},{X[p, j, 1]}' for p, j in np.ndindex(X.shape[:2])]
    path.write_text("policy,prompt,brief,warm\n" + "\n".join(reversed(rows)))
    return str(path)


@pytest.mark.slow
def test_rows_per_prompt_are_averaged_and_bounded(command: Command, tmp_path: Path) -> None:
    X = np.random.default_rng(3).random((5, 40, 2)).round(3)
    outcome = command("select", _prompts(tmp_path / "x.csv", X), "--delta", "0.02", "--json")
    members = tuple(int(name[1:]) for name in outcome.json["policies"])
    exact = _gap(X.mean(axis=1), members, 0.0)
    assert outcome.json["certificate"]["additive"] == pytest.approx(exact, abs=1e-7)
    bound = outcome.json["confidence"]
    assert (bound["level"], bound["prompts"]) == (0.95, 40)
    assert bound["additive"] >= exact - 1e-9
    assert "upper bound" in command("select", str(tmp_path / "x.csv"), "--delta", "0.02").out


def test_several_responses_to_a_prompt_are_averaged(command: Command, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(
        "policy,prompt,sample,brief\na,hi,0,0.2\na,hi,1,0.4\nb,hi,0,0.5\n"
    )
    printed = command("select", "x.csv", "--size", "1", "--json").json
    assert printed["policies"] == ["b"]
    (tmp_path / "y.csv").write_text("policy,prompt,brief\na,hi,0.2\na,hi,0.4\n")
    outcome = command("select", "y.csv", "--delta", "0.1")
    assert (outcome.code, "policy a has prompt 'hi' twice" in outcome.err) == (2, True)


def test_people_get_a_table(command: Command, tmp_path: Path) -> None:
    outcome = command("select", _write(tmp_path / "v.csv", np.eye(2)), "--delta", "0.1")
    assert outcome.code == 0
    for text in ("p0", "p1", "proven smallest", "certified gap"):
        assert text in outcome.out


def test_many_traits_fit_the_terminal(command: Command, tmp_path: Path) -> None:
    V = np.random.default_rng(1).random((1, 20)).round(3)
    out = command("select", _write(tmp_path / "v.csv", V), "--delta", "0.2").out
    best = int(np.argmax(V[0]))
    assert f"t{best} {V[0, best]:.3f}" in out and "highest of 20 values" in out
    assert "…" not in out


@pytest.mark.parametrize("options", [(), ("--epsilon", "0.1")])
def test_where_no_one_loses_no_user_is_worst(
    command: Command, tmp_path: Path, options: tuple[str, ...]
) -> None:
    outcome = command("select", _write(tmp_path / "v.csv", np.array([[0.9, 0.8]])), *options)
    assert "no one loses anything" in outcome.out


def test_a_trait_on_which_no_one_scores_has_no_multiplicative_gap(
    command: Command, tmp_path: Path
) -> None:
    file = _write(tmp_path / "v.csv", np.array([[0.9, 0.0], [0.5, 0.0]]))
    assert "no multiplicative gap" in command("select", file, "--epsilon", "0.1").out
    assert command("select", file, "--json").json["certificate"]["multiplicative"] is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty"),
        ("policy,a\n", "holds no evaluations"),
        ("name,a\nx,1\n", "no column `policy`"),
        ("policy;a\nx;1\n", "separates its columns with semicolons"),
        ("policy\nx\n", "has no trait"),
        ("policy,prompt\nx,hi\n", "has no trait"),
        ("policy,a,\nx,1,1\n", "column 3 has no name"),
        ("policy,a,a\nx,1,1\n", "column a is there twice"),
        ("policy,a\nx,1\ny,high\n", "row 3 (policy y), column a is 'high', not a number"),
        ("policy,a\nx,\n", "row 2 (policy x), column a is empty"),
        ("policy,a\nx,nan\n", "row 2 (policy x), column a is nan"),
        ("policy,a\nx,inf\n", "column a is inf"),
        ("policy,a\nx,1.5\n", "is 1.5, outside [0, 1]"),
        ("policy,a\nx,-0.1\n", "is -0.1, outside [0, 1]"),
        ("policy,a\nx,1\nx,0\n", "row 3: policy x is there twice"),
        ("policy,a\n,1\n", "column policy is empty"),
        ("policy,a\nx,1,1\n", "row 2 has 3 fields, but there are 2 columns"),
        ('policy,a\n"x,1\n', "not CSV"),
        ("policy,prompt,a\nx,hi,1\nx,hi,0\n", "policy x has prompt 'hi' twice"),
    ],
)
def test_a_bad_file_is_named_with_the_place(
    command: Command, tmp_path: Path, content: str, complaint: str
) -> None:
    (tmp_path / "v.csv").write_text(content)
    outcome = command("select", "v.csv", "--delta", "0.1", "--json")
    assert (outcome.code, outcome.out) == (2, "")
    assert complaint in outcome.err
    assert outcome.err.startswith("error: v.csv") and len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--epsilon", "1"), "--epsilon must lie in [0, 1), not 1"),
        (("--epsilon", "nan"), "--epsilon must lie in [0, 1), not nan"),
        (("--delta", "-0.1"), "--delta must lie in [0, 1], not -0.1"),
        (("--size", "0"), "--size must be at least 1"),
        (("--time-limit", "0"), "--time-limit must be a number > 0"),
        (("--method", "magic"), "magic"),
        (("--delta", "much"), "valid number"),
    ],
)
def test_bad_options_are_bad_usage(
    command: Command, tmp_path: Path, options: tuple[str, ...], complaint: str
) -> None:
    outcome = command("select", _write(tmp_path / "v.csv", np.eye(2)), *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert complaint in outcome.err


def test_a_missing_file_is_named(command: Command) -> None:
    outcome = command("select", "none.csv", "--delta", "0.1")
    assert outcome.code == 2
    assert "cannot read none.csv: No such file" in outcome.err


def test_without_numpy_it_says_what_to_install(tmp_path: Path) -> None:
    file = _write(tmp_path / "v.csv", np.eye(2))
    program = (
        "import sys; sys.modules['numpy'] = None; from palmfolio.cli import main; "
        f"main(['select', {file!r}, '--delta', '0.1'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'palmfolio[palm]'" in done.stderr
    assert "Traceback" not in done.stderr
