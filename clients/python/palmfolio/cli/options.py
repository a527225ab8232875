"""Options that many commands share, and the client and consoles that they lead to."""

import enum
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palmfolio.cli.pairs import parse_fields
from palmfolio.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from palmfolio import Client

DEFAULT_ENDPOINTS = Path("palmfolio-quickstart") / "endpoints.json"
_VARIABLE = "PALMFOLIO_ENDPOINTS"

Endpoints = Annotated[
    Path | None,
    typer.Option(
        "--endpoints",
        metavar="FILE",
        help=f"Connection file with the services' addresses. Default: ${_VARIABLE}, then "
        f"{DEFAULT_ENDPOINTS}.",
        show_default=False,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="The file's format, whatever its ending: txt, jsonl, json, csv, tsv or parquet; "
        "`csv.gz` for one that is compressed. Required for `-`.",
        show_default=False,
    ),
]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="FIELD=COLUMN",
        help="Which column holds a field, where their names differ: `prompt=question`; may be "
        "given several times.",
        show_default=False,
    ),
]
PROMPT_FILE = (
    ".txt with a prompt a line, or rows with a `prompt` and optionally a `reference` in .jsonl, "
    ".json, .csv, .tsv or .parquet; each also .gz. `-` is standard input, "
    "`hub:OWNER/NAME@REVISION#SPLIT` a data set of the Hugging Face hub."
)
"""Which files of prompts there are, for the help."""
PolicyColumn = Annotated[
    str | None,
    typer.Option(
        "--policy-column",
        metavar="COLUMN",
        help="Which column names the policies. Default: policy.",
        show_default=False,
    ),
]
TraitColumns = Annotated[
    str,
    typer.Option(
        "--traits",
        metavar="COLUMN,…",
        help="Which columns are traits. Default: all that are no field.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


class Method(enum.StrEnum):
    """How members are chosen."""

    MINIMUM = "minimum"
    GREEDY = "greedy"


# What a portfolio must reach, wherever it is selected.
Epsilon = Annotated[
    float, typer.Option(metavar="E", help="Multiplicative gap that is allowed, in [0, 1).")
]
Delta = Annotated[float, typer.Option(metavar="D", help="Additive gap that is allowed, in [0, 1].")]
Size = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        help="Members at most. With epsilon and delta 0: the best portfolio of that size.",
        show_default=False,
    ),
]
SelectionMethod = Annotated[
    Method, typer.Option(help="`minimum` proves that fewer do not do; `greedy` is quick.")
]


def check_target(epsilon: float, delta: float, size: int | None) -> None:
    """Refuses a target out of range, before anything is read or sent.

    Raises:
        typer.BadParameter: the option and its range.
    """
    if not 0.0 <= epsilon < 1.0:
        raise typer.BadParameter(f"--epsilon must lie in [0, 1), not {epsilon:g}")
    if not 0.0 <= delta <= 1.0:
        raise typer.BadParameter(f"--delta must lie in [0, 1], not {delta:g}")
    if size is not None and size < 1:
        raise typer.BadParameter(f"--size must be at least 1, not {size}")


def evaluation_fields(policy_column: str | None, given: list[str] | None) -> dict[str, str]:
    """Columns by field, for files of evaluations.

    Raises:
        typer.BadParameter: a pair is wrong, or the column of the policies is given in both ways.
    """
    fields = parse_fields(given)
    if policy_column is None:
        return fields
    if "policy" in fields:
        raise typer.BadParameter("give --policy-column or --field policy=COLUMN, not both")
    return {**fields, "policy": policy_column}


def client(endpoints: Path | None) -> "Client":
    """A client of the services that a connection file names.

    Raises:
        ConfigurationError: no such file is known, or it cannot be used.
    """
    from palmfolio import Client

    path = endpoints or os.environ.get(_VARIABLE) or DEFAULT_ENDPOINTS
    if path == DEFAULT_ENDPOINTS and not DEFAULT_ENDPOINTS.exists():
        raise ConfigurationError(
            f"no services are known: there is no {DEFAULT_ENDPOINTS} here. Start them with "
            f"`palmfolio serve all`, or name a connection file with --endpoints or ${_VARIABLE}"
        )
    return Client(path)


def console(*, stderr: bool = False) -> "Console":
    """The console for people: standard output, or standard error where JSON takes the former."""
    from rich.console import Console

    return Console(stderr=stderr)


def show(as_json: bool, value: Any, table: Any) -> None:
    """Prints a value: as JSON, or as the table that `table(value)` makes."""
    if as_json:
        from palmfolio.cli.render.plain import print_json

        print_json(value)
    else:
        console().print(table(value))


def show_deleted(as_json: bool, collection: str, name: str) -> None:
    """Says that a resource is deleted."""
    full = name if name.startswith(f"{collection}/") else f"{collection}/{name}"
    show(as_json, {"deleted": full}, lambda value: f"deleted {value['deleted']}")
