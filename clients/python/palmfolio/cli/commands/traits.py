"""`palmfolio traits`: the scorer's traits, their versions and their calibration."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palmfolio._names import resource_id
from palmfolio.cli import options
from palmfolio.cli.grammar import Noun
from palmfolio.cli.pairs import parse_fields

if TYPE_CHECKING:
    from palmfolio import Client, Sample, Trait
    from palmfolio.cli.files.calibration_summary import Comparison

app = typer.Typer(cls=Noun, help="List, explain and calibrate the scorer's traits.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A trait's name.")]


class Method(enum.StrEnum):
    """How a normalisation is fitted."""

    MINMAX = "minmax"
    QUANTILE = "quantile"
    SIGMOID = "sigmoid"


@app.command("list")
def list_traits(endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """List the traits that the scorer scores."""
    with options.client(endpoints) as client:
        served = list(client.scorer.list_traits())
    from palmfolio.cli.render import tables

    options.show(as_json, served, tables.traits)


@app.command()
def explain(name: Name, endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """Show a trait's declaration, and everything that its version is made of."""
    with options.client(endpoints) as client:
        trait = _trait(client, name)
    from palmfolio.cli.render.traits import explanation

    options.show(as_json, trait, explanation)


@app.command()
def calibrate(
    name: Name,
    sample: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Typical responses, at least 8, in a file as `palmfolio score` takes it.",
        ),
    ],
    method: Annotated[
        Method,
        typer.Option(
            help="`minmax`: linear between the extremes; `quantile`: the distribution function; "
            "`sigmoid`: logistic through the quartiles."
        ),
    ],
    field: options.Fields = None,
    format: options.Format = None,
    tail: Annotated[
        float,
        typer.Option(help="minmax: the share of samples that may lie beyond each end, below 0.5."),
    ] = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be stored, and store nothing.")
    ] = False,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Fit a trait's normalisation to a sample: the trait gets a new version.

    Raw rewards stay as they are. Evaluations of the previous version are kept, and never mixed with
    those of the new version.
    """
    from palmfolio.files import read_samples

    samples = list(read_samples(sample, format=format, fields=parse_fields(field)))
    with options.client(endpoints) as client:
        compared = _calibrated(client, name, samples, method, tail, dry_run)
    from palmfolio.cli.render.traits import comparison

    options.show(as_json, compared, comparison)


def _calibrated(
    client: "Client", name: str, samples: "list[Sample]", method: Method, tail: float, dry_run: bool
) -> "Comparison":
    from palmfolio import CalibrationMethod
    from palmfolio.cli.files.calibration_summary import Comparison

    before = _trait(client, name)
    scored = list(client.scorer.score_stream(samples, traits=[before.name]))
    calibration = client.scorer.calibrate(
        before.name,
        samples,
        method=CalibrationMethod(method.value),
        tail=tail,
        validate_only=dry_run,
    )
    again = [] if dry_run else list(client.scorer.score_stream(samples, traits=[before.name]))
    return Comparison.of(before, calibration, scored, again)


def _trait(client: "Client", name: str) -> "Trait":
    wanted = resource_id(name)
    served = {trait.name: trait for trait in client.scorer.list_traits()}
    if wanted not in served:
        known = ", ".join(served) or "none"
        raise typer.BadParameter(f"unknown trait {wanted!r}; known: {known}")
    return served[wanted]
