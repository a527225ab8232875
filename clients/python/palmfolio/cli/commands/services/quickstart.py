"""`palmfolio quickstart`."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from palmfolio.cli import options

DEFAULT_OUTPUT = Path("palmfolio-quickstart")


def quickstart(
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Where results and state go.")
    ] = DEFAULT_OUTPUT,
    spec: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A portfolio file with a traits.yaml in the same folder. Default: the example of "
            "the source checkout.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Build an example portfolio on this machine; a second run reuses what exists."""
    from palmfolio.cli.local.quickstart.run import Quickstart
    from palmfolio.cli.local.quickstart.settings import find

    run = Quickstart(find(output, spec), options.console(stderr=as_json))
    stopped_by = run.run()
    if stopped_by is not None:
        name = signal.Signals(stopped_by).name
        typer.echo(
            f"stopped by {name}; run the same command again to go on from the work already done",
            err=True,
        )
        raise typer.Exit(128 + stopped_by)
    if as_json and run.report is not None:
        from palmfolio.cli.render.plain import print_json
        from palmfolio.report import summary

        print_json(summary(run.report))
