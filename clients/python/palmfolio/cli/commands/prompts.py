"""`palmfolio prompts`: prompt sets, which the selector addresses by their content."""

from pathlib import Path
from typing import Annotated

import typer

from palmfolio.cli import options
from palmfolio.cli.grammar import Noun
from palmfolio.cli.pairs import parse_fields

app = typer.Typer(cls=Noun, help="Store prompt sets.", no_args_is_help=True)


@app.callback()
def prompts() -> None:
    """Store prompt sets."""
    # With a callback, Typer keeps the verb of a group that has only one.


@app.command()
def create(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help=f"Prompts: {options.PROMPT_FILE}",
        ),
    ],
    name: Annotated[
        str, typer.Option("--display-name", metavar="TEXT", help="A name for people.")
    ] = "",
    field: options.Fields = None,
    format: options.Format = None,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Store the prompts of a file. The same prompts always are the same set."""
    from palmfolio.files import read_prompts

    texts = read_prompts(file, format=format, fields=parse_fields(field))
    with options.client(endpoints) as client:
        created = client.selector.create_prompt_set(texts, display_name=name)
    stored = {"name": created.name, "prompts": len(texts), "display_name": created.display_name}
    options.show(as_json, stored, lambda value: f"{value['name']}  {value['prompts']} prompts")
