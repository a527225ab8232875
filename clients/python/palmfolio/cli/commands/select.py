"""`palmfolio select`."""

import importlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palmfolio.cli import options
from palmfolio.cli.files.evaluations.settings import Missing, Scale, Settings
from palmfolio.cli.pairs import parse_names
from palmfolio.errors import ConfigurationError

if TYPE_CHECKING:
    from palmfolio.cli.files.evaluations.table import Table
    from palmfolio_palm import Certificate, ConfidenceBound, Selection, Target

_NEEDED = ("numpy", "scipy.optimize", "palmfolio_palm")


def select(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="A column `policy` and one per trait, values in [0, 1]. With a column `prompt`, "
            "rows are per policy and prompt, and the gap's 95 % upper bound is reported; a column "
            "`cluster` names prompts that were drawn together, such as those of one template. Also "
            "the output of `palmfolio score`. Of several files, one without a column of policies "
            "is the policy that it is named after.",
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
    policy_column: options.PolicyColumn = None,
    traits: options.TraitColumns = "",
    lower_is_better: Annotated[
        str,
        typer.Option(metavar="TRAIT,…", help="Traits on which less is better.", show_default=False),
    ] = "",
    scale: Annotated[
        Scale,
        typer.Option(
            help="Scales values of any range into [0, 1]: `minmax` from the worst to the best of "
            "the file; `zscore` in standard deviations, of equal size on every trait."
        ),
    ] = Scale.NONE,
    missing: Annotated[
        Missing | None,
        typer.Option(
            help="What to leave out where values are missing. Default: with prompts, those that "
            "not every policy has; without, nothing: the file is refused.",
            show_default=False,
        ),
    ] = None,
    field: options.Fields = None,
    format: options.Format = None,
    as_json: options.Json = False,
) -> None:
    """Select the smallest portfolio from evaluations in files; needs no service."""
    options.check_target(epsilon, delta, size)
    if not (math.isfinite(time_limit) and time_limit > 0.0):
        raise typer.BadParameter(f"--time-limit must be a number > 0, not {time_limit:g}")
    from palmfolio.cli.files.evaluations.table import read_table

    settings = Settings(
        fields=options.evaluation_fields(policy_column, field),
        format=format,
        traits=parse_names(traits),
        lower_is_better=parse_names(lower_is_better),
        scale=scale,
        missing=missing,
    )
    table = read_table(files, settings)
    for note in table.left_out.notes():
        typer.echo(f"note: {note}", err=True)
    _check_installed()
    from palmfolio.cli.local.selection import search
    from palmfolio.cli.render.selection import SearchProgress, portfolio
    from palmfolio_palm import Target, confidence

    target = Target(epsilon, delta, size or 0)
    greedy = method is options.Method.GREEDY
    with SearchProgress(options.console(stderr=True)) as progress:
        chosen = search(table, target, time_limit, greedy=greedy, progress=progress.show)
        bound = (
            None
            if table.rewards is None
            else confidence(table.rewards, chosen.members, clusters=table.clusters)
        )
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
            "clusters": bound.clusters,
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
        "traits": list(table.traits),
        "scale": _scale(table),
        "left_out": {
            "policies": list(table.left_out.policies),
            "traits": list(table.left_out.traits),
            "prompts": table.left_out.prompts,
        },
    }


def _scale(table: "Table") -> dict[str, Any] | None:
    """The values of the file that became 0 and 1; None if they are as in the file."""
    if not table.scales:
        return None
    ends = {name: {"zero": s.worst, "one": s.best} for name, s in table.scales.items()}
    return {"method": table.scale.value, "traits": ends}


def _gaps(table: "Table", certificate: "Certificate") -> dict[str, Any]:
    worst = map(float, certificate.worst_weights_additive)
    return {
        "additive": certificate.additive,
        "multiplicative": certificate.multiplicative,
        "worst_weights": dict(zip(table.traits, worst, strict=True)),
        "method": certificate.method,
        "confirmed": certificate.confirmed,
    }
