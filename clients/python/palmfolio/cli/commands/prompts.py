"""`palmfolio prompts`: prompt sets, which the selector addresses by their content."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palmfolio.cli import options
from palmfolio.cli.grammar import Noun
from palmfolio.cli.pairs import parse_fields

if TYPE_CHECKING:
    from palmfolio import PromptSet

app = typer.Typer(cls=Noun, help="Store, list and show prompt sets.")


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


@app.command("list")
def list_prompt_sets(
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Sets at most.")] = 100,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """List the prompt sets, newest first."""
    with options.client(endpoints) as client:
        # One more than asked for shows whether there are more.
        found = list(itertools.islice(client.selector.list_prompt_sets(), limit + 1))
    if len(found) > limit:
        typer.echo(f"note: only the newest {limit} are shown; see --limit", err=True)
    shown = [_summary(item) for item in found[:limit]]
    from palmfolio.cli.render.prompts import prompt_sets

    options.show(as_json, shown, prompt_sets)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The prompt set's name.")],
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Prompts at most. Default: all.", show_default=False),
    ] = None,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Show a prompt set and its prompts."""
    with options.client(endpoints) as client:
        stored = client.selector.get_prompt_set(name)
        found = list(itertools.islice(client.selector.list_prompts(name), limit))
    if len(found) < stored.prompt_count:
        typer.echo(f"note: only the first {len(found)} prompts are shown; see --limit", err=True)
    from palmfolio.cli.render.prompts import prompts

    plain = {**_summary(stored), "prompts": found}
    options.show(as_json, plain, lambda _: prompts(found))


def _summary(item: "PromptSet") -> dict[str, Any]:
    return {
        "name": item.name,
        "prompt_count": item.prompt_count,
        "display_name": item.display_name,
        "create_time": item.create_time,
    }
