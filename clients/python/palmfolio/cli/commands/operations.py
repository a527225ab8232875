"""`palmfolio operations`: trainings and builds that run or ran."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from palmfolio.cli import options
from palmfolio.cli.grammar import Noun
from palmfolio.errors import NotFound

if TYPE_CHECKING:
    from palmfolio import Client

app = typer.Typer(cls=Noun, help="List, show and cancel trainings and builds.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="`operations/ID`, or the id.")]


@app.command("list")
def list_operations(endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """List the operations of the trainer and of the selector."""
    with options.client(endpoints) as client:
        rows = [
            *(_row("training", item) for item in client.trainer.list_operations()),
            *(_row("build", item) for item in client.selector.list_operations()),
        ]
    options.show(as_json, rows, _table)


@app.command()
def show(name: Name, endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """Show one operation."""
    with options.client(endpoints) as client:
        row = _row(*_find(client, name))
    options.show(as_json, row, lambda row: _table([row]))


@app.command()
def cancel(name: Name, endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """Ask an operation to stop."""
    with options.client(endpoints) as client:
        kind, operation = _find(client, name)
        operation.cancel()
        operation.refresh()
        row = _row(kind, operation)
    options.show(as_json, row, lambda row: _table([row]))


def _find(client: "Client", name: str) -> tuple[str, Any]:
    try:
        return "build", client.selector.operation(name)
    except NotFound:
        return "training", client.trainer.operation(name)


def _row(kind: str, operation: Any) -> dict[str, Any]:
    error = operation.error
    state = ("failed" if error else "done") if operation.done else "running"
    return {
        "name": operation.name,
        "kind": kind,
        "state": state,
        "error": str(error) if error else None,
    }


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich import box
    from rich.table import Table

    grid = Table("operation", "kind", "state", "error", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        grid.add_row(row["name"], row["kind"], row["state"], row["error"] or "")
    return grid
