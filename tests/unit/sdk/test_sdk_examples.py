"""The examples in docstrings and docs: they exist, run where they can, and fit the SDK."""

import ast
import doctest
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import palmfolio
import palmfolio.report
import palmfolio.testing
from palmfolio import _async_client, _client, errors
from palmfolio.types import (
    certificates,
    evaluations,
    portfolios,
    scorer,
    selections,
    services,
    strategies,
    trainer,
)

ROOT = Path(__file__).parents[3]
SERVICES: dict[str, type] = {
    "client.scorer": _client.Scorer,
    "client.trainer": _client.Trainer,
    "client.selector": _client.Selector,
    "client": palmfolio.Client,
}
TYPE_MODULES = [
    certificates,
    evaluations,
    portfolios,
    scorer,
    selections,
    services,
    strategies,
    trainer,
]
# Classes whose values users make; the others only come out of calls.
MADE_BY_USERS = [
    palmfolio.AdaptiveStrategy,
    palmfolio.CalibrationMethod,
    palmfolio.ExplicitStrategy,
    palmfolio.ExplicitTraining,
    palmfolio.GridStrategy,
    palmfolio.GrpoConfig,
    palmfolio.ImportedEvaluation,
    palmfolio.PolicySpec,
    palmfolio.PortfolioSpec,
    palmfolio.Sample,
    palmfolio.SamplingConfig,
    palmfolio.SelectionMethod,
    palmfolio.StoredEvaluations,
    palmfolio.TLS,
    palmfolio.Timeouts,
    palmfolio.UniformStrategy,
]


def _methods(cls: type) -> Iterator[tuple[str, Any]]:
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if not name.startswith("_"):
            yield f"{cls.__name__}.{name}", method


def _called_by_users() -> dict[str, Any]:
    classes = [
        *MADE_BY_USERS,
        palmfolio.Client,
        palmfolio.AsyncClient,
        palmfolio.Operation,
        palmfolio.AsyncOperation,
        _async_client.AsyncScorer,
        _async_client.AsyncTrainer,
        _async_client.AsyncSelector,
        palmfolio.PalmfolioError,
        palmfolio.ServiceError,
        palmfolio.FieldViolation,
        palmfolio.report.Report,
        palmfolio.report.User,
        palmfolio.testing.Services,
    ]
    documented: dict[str, Any] = {cls.__name__: cls for cls in classes}
    asynchronous = (palmfolio.AsyncClient, palmfolio.AsyncOperation)
    operations = (palmfolio.Operation, *asynchronous)
    for cls in (*SERVICES.values(), *operations, palmfolio.testing.Services):
        documented |= dict(_methods(cls))
    functions = [
        palmfolio.report.render,
        palmfolio.report.summary,
        palmfolio.testing.local_services,
        palmfolio.testing.services_at,
        palmfolio.testing.write_tiny_model,
    ]
    return documented | {function.__name__: function for function in functions}


CALLED = _called_by_users()


def _example(target: Any) -> str:
    """The code under `Example:` in a docstring."""
    match = re.search(r"^Example:\n((?:    .*\n?|\n)+)", inspect.getdoc(target) or "", re.MULTILINE)
    assert match is not None, "no example"
    return textwrap.dedent(match[1])


@pytest.mark.parametrize("name", CALLED)
def test_what_a_user_calls_has_an_example_that_fits(name: str) -> None:
    code = _example(CALLED[name])
    _check_calls(_without_prompts(code))


@pytest.mark.parametrize("module", TYPE_MODULES, ids=lambda module: module.__name__)
def test_the_examples_of_types_run(module: Any) -> None:
    scope = {**vars(palmfolio.types), **vars(strategies)}
    failed, _ = doctest.testmod(module, extraglobs=scope)
    assert not failed


@pytest.mark.parametrize("path", ["README.md", *sorted(p.name for p in ROOT.glob("docs/*.md"))])
def test_the_code_in_the_docs_fits(path: str) -> None:
    file = ROOT / path if path == "README.md" else ROOT / "docs" / path
    for code in re.findall(r"^```python\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL):
        _check_calls(_without_prompts(code))


def test_the_tree_of_errors_is_drawn_where_it_is_defined() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or "")) | {"PalmfolioError"}
    defined = {
        name
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.PalmfolioError)
    }
    assert drawn == defined


def _without_prompts(code: str) -> str:
    lines = code.splitlines()
    if not any(line.startswith(">>> ") for line in lines):
        return code
    return "\n".join(line[4:] for line in lines if line.startswith((">>> ", "... ")))


def _check_calls(code: str) -> None:
    """Every name of the SDK exists, and every call of it has arguments that it takes."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and _dotted(node).startswith("palmfolio."):
            _resolve(_dotted(node))
        if isinstance(node, ast.Call) and (target := _resolve(_dotted(node.func))) is not None:
            if any(isinstance(item, ast.Starred) for item in node.args):
                continue
            own = [object()] if _dotted(node.func).startswith("client.") else []
            named = {item.arg: object() for item in node.keywords if item.arg}
            inspect.signature(target).bind(*own, *node.args, **named)


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _resolve(name: str) -> Any:
    """The object that a dotted name stands for; None when it is not the SDK's."""
    if name in SERVICES:
        return None
    for prefix, cls in SERVICES.items():
        if name.startswith(f"{prefix}."):
            return getattr(cls, name.removeprefix(f"{prefix}."))
    if name.startswith("palmfolio."):
        named: Any = palmfolio
        for part in name.split(".")[1:]:
            named = getattr(named, part)
        return named
    return None
