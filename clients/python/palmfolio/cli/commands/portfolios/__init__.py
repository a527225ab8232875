"""`palmfolio portfolios`: build, look at, select, certify, write out and delete portfolios."""

import typer

from palmfolio.cli.commands.portfolios import builds, files, guarantees, stored
from palmfolio.cli.grammar import Noun

app = typer.Typer(
    cls=Noun, help="Build portfolios, select them from stored evaluations, and look at them."
)
app.command("list")(stored.list_portfolios)
app.command("show")(stored.show)
app.command("build")(builds.build)
app.command("plan")(builds.plan)
app.command("select")(guarantees.select)
app.command("certify")(guarantees.certify)
app.command("tradeoff")(guarantees.tradeoff)
app.command("report")(files.report)
app.command("export")(files.export)
app.command("delete")(stored.delete)
