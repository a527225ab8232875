"""`palmfolio policies`: look at policies and delete them; and the verbs that make and use them."""

import typer

from palmfolio.cli.commands.policies import stored
from palmfolio.cli.grammar import Noun

app = typer.Typer(cls=Noun, help="List, show and delete the trainer's policies.")
app.command("list")(stored.list_policies)
app.command("show")(stored.show)
app.command("delete")(stored.delete)
