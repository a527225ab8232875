"""`palmfolio select`."""

import importlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palmfolio.cli import options
from palmfolio.errors import ConfigurationError

if TYPE_CHECKING:
    from palmfolio.cli.files.evaluation_table import Table
    from palmfolio_palm import Certificate, ConfidenceBound, Selection, Target

_NEEDED = ("numpy", "scipy.optimize", "palmfolio_palm")


def select(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="EVALUATIONS.csv",
            help="A column `policy` and one per trait, values in [0, 1]. With a column `prompt`, "
            "rows are per policy and prompt, and the gap's 95 % upper bound is reported.",
        ),
    ],
    epsilon: options.Epsilon = 0.0,
    delta: options.Delta = 0.0,
    size: options.Size = None,
    method: options.SelectionMethod = options.Method.MINIMUM,
    time_limit: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Time for the search and its proof; a selector takes 60 by default.",
        ),
    ] = 18.0,
    as_json: options.Json = False,
) -> None:
    """Select the smallest portfolio from evaluations in a CSV file; needs no service."""
    options.check_target(epsilon, delta, size)
    if not (math.isfinite(time_limit) and time_limit > 0.0):
        raise typer.BadParameter(f"--time-limit must be a number > 0, not {time_limit:g}")
    from palmfolio.cli.files.evaluation_table import read_table

    table = read_table(file)
    _check_installed()
    from palmfolio.cli.local.selection import search
    from palmfolio.cli.render.selection import SearchProgress, portfolio
    from palmfolio_palm import Target, confidence

    target = Target(epsilon, delta, size or 0)
    greedy = method is options.Method.GREEDY
    with SearchProgress(options.console(stderr=True)) as progress:
        chosen = search(table, target, time_limit, greedy=greedy, progress=progress.show)
        bound = None if table.rewards is None else confidence(table.rewards, chosen.members)
    if as_json:
        from palmfolio.cli.render.plain import print_json

        print_json(_plain(table, target, chosen, bound))
    else:
        options.console().print(portfolio(table, target, chosen, bound))


def _check_installed() -> None:
    for name in _NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigurationError(
                f"selecting needs numpy and scipy, but {name} cannot be used here ({error}). "
                "Install them with `pip install 'palmfolio[palm]'`"
            ) from error


def _plain(
    table: "Table", target: "Target", chosen: "Selection", bound: "ConfidenceBound | None"
) -> dict[str, Any]:
    from palmfolio.cli.render.selection import warnings

    confidence = None
    if bound is not None:
        confidence = {
            "level": bound.level,
            "additive": bound.bound,
            "method": bound.method,
            "prompts": bound.prompts,
        }
    return {
        "policies": [table.policies[index] for index in chosen.members],
        "size": len(chosen.members),
        # Every portfolio has a member, also where no target asks for more.
        "lower_bound": max(1, chosen.size_lower_bound),
        "optimal": chosen.optimal,
        "epsilon": target.epsilon,
        "delta": target.delta,
        "certificate": _gaps(table, chosen.certificate),
        "gap": _gaps(table, chosen.plain),
        "candidates": len(table.policies),
        "gap_lower_bound": chosen.gap_lower_bound if target.is_best_of_size else None,
        "confidence": confidence,
        "warnings": warnings(table, bound),
    }


def _gaps(table: "Table", certificate: "Certificate") -> dict[str, Any]:
    worst = map(float, certificate.worst_weights_additive)
    return {
        "additive": certificate.additive,
        "multiplicative": certificate.multiplicative,
        "worst_weights": dict(zip(table.traits, worst, strict=True)),
        "method": certificate.method,
        "confirmed": certificate.confirmed,
    }
