"""`palmfolio select`."""

import enum
import importlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palmfolio.cli import options
from palmfolio.errors import ConfigurationError

if TYPE_CHECKING:
    from palmfolio.cli.files.evaluation_table import Table
    from palmfolio.cli.local.confidence import Confidence
    from palmfolio.cli.local.selection import Found, Wish

_NEEDED = ("numpy", "scipy.optimize", "palmfolio_palm")


class Method(enum.StrEnum):
    """How members are chosen."""

    MINIMUM = "minimum"
    GREEDY = "greedy"


def select(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="EVALUATIONS.csv",
            help="A column `policy` and one per trait, values in [0, 1]. With a column `prompt`, "
            "rows are per policy and prompt, and the gap's 95 % upper bound is reported.",
        ),
    ],
    epsilon: Annotated[
        float, typer.Option(metavar="E", help="Multiplicative gap that is allowed, in [0, 1).")
    ] = 0.0,
    delta: Annotated[
        float, typer.Option(metavar="D", help="Additive gap that is allowed, in [0, 1].")
    ] = 0.0,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Members at most. With epsilon and delta 0: the best portfolio of that size.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        Method, typer.Option(help="`minimum` proves that fewer do not do; `greedy` is quick.")
    ] = Method.MINIMUM,
    time_limit: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time for the search and its proof.")
    ] = 18.0,
    as_json: options.Json = False,
) -> None:
    """Select the smallest portfolio from evaluations in a CSV file; needs no service."""
    _check(epsilon, delta, size, time_limit)
    from palmfolio.cli.files.evaluation_table import read_table

    table = read_table(file)
    _check_installed()
    from palmfolio.cli.local.confidence import confidence
    from palmfolio.cli.local.selection import Wish, search
    from palmfolio.cli.render.selection import SearchProgress, portfolio

    wish = Wish(epsilon, delta, size or 0, method is Method.GREEDY, time_limit)
    with SearchProgress(options.console(stderr=True), wish) as progress:
        found = search(table, wish, progress.show)
        bound = confidence(table, found.members, epsilon)
    if as_json:
        from palmfolio.cli.render.plain import print_json

        print_json(_plain(table, wish, found, bound))
    else:
        options.console().print(portfolio(table, wish, found, bound))


def _check(epsilon: float, delta: float, size: int | None, time_limit: float) -> None:
    if not 0.0 <= epsilon < 1.0:
        raise typer.BadParameter(f"--epsilon must lie in [0, 1), not {epsilon:g}")
    if not 0.0 <= delta <= 1.0:
        raise typer.BadParameter(f"--delta must lie in [0, 1], not {delta:g}")
    if size is not None and size < 1:
        raise typer.BadParameter(f"--size must be at least 1, not {size}")
    if not (math.isfinite(time_limit) and time_limit > 0.0):
        raise typer.BadParameter(f"--time-limit must be a number > 0, not {time_limit:g}")


def _check_installed() -> None:
    for name in _NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigurationError(
                f"selecting needs numpy and scipy, but {name} cannot be used here ({error}). "
                "Install them with `pip install 'palmfolio[selector]'`"
            ) from error


def _plain(
    table: "Table", wish: "Wish", found: "Found", bound: "Confidence | None"
) -> dict[str, Any]:
    return {
        "policies": [table.policies[index] for index in found.members],
        "size": len(found.members),
        "lower_bound": found.lower_bound,
        "optimal": found.optimal,
        "epsilon": wish.epsilon,
        "delta": wish.delta,
        "certificate": {
            "additive": found.additive,
            "multiplicative": found.multiplicative,
            "worst_weights": dict(zip(table.traits, found.worst_weights, strict=True)),
        },
        "candidates": len(table.policies),
        "gap_lower_bound": found.gap_lower_bound,
        "confidence": bound,
    }
