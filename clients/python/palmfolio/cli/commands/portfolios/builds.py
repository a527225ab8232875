"""`palmfolio portfolios build` and `plan`, which read a portfolio file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palmfolio.cli import options
from palmfolio.cli.commands.portfolios.stored import show_portfolio

if TYPE_CHECKING:
    from palmfolio import Build, Portfolio

Spec = Annotated[Path, typer.Argument(metavar="SPEC.yaml", help="The portfolio file.")]


def build(
    spec: Spec,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Train, score and select a portfolio; what exists already is reused."""
    from palmfolio.cli.files.portfolio_spec import load_portfolio

    wanted = load_portfolio(spec)
    with options.client(endpoints) as client:
        training = client.selector.create_prompt_set(
            wanted.training_prompts, display_name=f"{wanted.portfolio_id} training"
        )
        evaluation = client.selector.create_prompt_set(
            wanted.evaluation_prompts, display_name=f"{wanted.portfolio_id} evaluation"
        )
        operation = client.selector.build_portfolio(
            wanted.portfolio_id, wanted.with_prompt_sets(training.name, evaluation.name)
        )
        built = _follow(operation)
    show_portfolio(built, as_json)


def _follow(operation: "Build") -> "Portfolio":
    """Shows a build until it is done. Ctrl-C leaves the build running in the service."""
    from palmfolio.cli.render.progress import BuildProgress

    try:
        with BuildProgress(options.console(stderr=True)) as progress:
            for event in operation.events():
                progress.show(event)
            return operation.result()
    except KeyboardInterrupt:
        typer.echo(
            f"{operation.name} goes on in the selector; run the same command to follow it, or "
            f"`palmfolio operations cancel {operation.name}` to stop it",
            err=True,
        )
        raise


def plan(
    spec: Spec,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Show what a build would train and could guarantee; nothing is trained."""
    from palmfolio.cli.files.portfolio_spec import load_portfolio
    from palmfolio.cli.render import answers

    wanted = load_portfolio(spec)
    with options.client(endpoints) as client:
        training = client.selector.create_prompt_set(wanted.training_prompts)
        evaluation = client.selector.create_prompt_set(wanted.evaluation_prompts)
        planned = client.selector.plan_portfolio(
            wanted.with_prompt_sets(training.name, evaluation.name)
        )
    options.show(as_json, planned, answers.plan)
