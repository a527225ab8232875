"""`palmfolio evaluations`: stored rewards."""

import itertools
from pathlib import Path
from typing import Annotated

import typer

from palmfolio.cli import options
from palmfolio.cli.grammar import Noun
from palmfolio.cli.pairs import parse_names, parse_versions

app = typer.Typer(cls=Noun, help="List stored evaluations, and import others.")


@app.command("list")
def list_evaluations(
    policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this policy.", show_default=False)
    ] = None,
    trait: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this trait.", show_default=False)
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only imports from this source.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Rewards at most.")] = 100,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """List stored rewards, one response and trait a row."""
    with options.client(endpoints) as client:
        rows = client.selector.list_evaluations(policy=policy, trait=trait, source=source)
        # One more than asked for shows whether there are more.
        evaluations = list(itertools.islice(rows, limit + 1))
    if len(evaluations) > limit:
        typer.echo(f"note: only the first {limit} are shown; see --limit", err=True)
    from palmfolio.cli.render import tables

    options.show(as_json, evaluations[:limit], tables.evaluations)


@app.command("import")
def import_evaluations(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A column `policy`, optionally `prompt` and `sample`, and one column per trait "
            "with values in [0, 1], or the output of `palmfolio score`; as `palmfolio select` "
            "takes it.",
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Where they come from: a-z, 0-9 and `-`. Rewards of different sources never mix.",
        ),
    ],
    policy_column: options.PolicyColumn = None,
    traits: options.TraitColumns = "",
    field: options.Fields = None,
    format: options.Format = None,
    trait_versions: Annotated[
        str,
        typer.Option(
            metavar="TRAIT=VERSION,…", help="Versions of the traits. Default: `imported`."
        ),
    ] = "",
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Store rewards that were measured elsewhere, to select portfolios from."""
    from palmfolio.cli.files.evaluations.imports import read_evaluations
    from palmfolio.cli.files.evaluations.settings import Settings

    versions = parse_versions(trait_versions)
    settings = Settings(
        fields=options.evaluation_fields(policy_column, field),
        format=format,
        traits=parse_names(traits),
    )
    names, rows = read_evaluations([file], settings)
    with options.client(endpoints) as client:
        imported = client.selector.import_evaluations(source, names, rows, trait_versions=versions)
    from palmfolio.cli.render import tables

    options.show(as_json, imported, tables.evaluation_import)
