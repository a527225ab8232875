"""`palmfolio portfolios`: build, look at, select, certify, write out and delete portfolios."""

import typer

from palmfolio.cli.commands.portfolios import builds, questions, stored, written
from palmfolio.cli.grammar import Noun

app = typer.Typer(
    cls=Noun, help="Build portfolios, select them from stored evaluations, and look at them."
)
app.command("list")(stored.list_portfolios)
app.command("show")(stored.show)
app.command("build")(builds.build)
app.command("plan")(builds.plan)
app.command("select")(questions.select)
app.command("certify")(questions.certify)
app.command("tradeoff")(questions.tradeoff)
app.command("report")(written.report)
app.command("export")(written.export)
app.command("delete")(stored.delete)
