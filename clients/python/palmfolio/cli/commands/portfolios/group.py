"""`palmfolio portfolio`: build, plan, show, list, certify, tradeoff, report, export."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palmfolio.cli import options

if TYPE_CHECKING:
    from palmfolio import Client, Portfolio
    from palmfolio.report import Report
    from palmfolio.types import TradeoffPoint

app = typer.Typer(help="Build portfolios and look at them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The portfolio's name.")]


@app.command()
def build(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.yaml", help="The portfolio file.")],
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
    _show(built, as_json)


def _follow(operation: Any) -> "Portfolio":
    """Shows a build until it is done. Ctrl-C leaves the build running in the service."""
    from palmfolio.cli.render.progress import BuildProgress

    try:
        with BuildProgress(options.console(stderr=True)) as progress:
            for event in operation.events():
                progress.show(event)
            portfolio: Portfolio = operation.result()
    except KeyboardInterrupt:
        typer.echo(
            f"{operation.name} goes on in the selector; run the same command to follow it, or "
            f"`palmfolio operations cancel {operation.name}` to stop it",
            err=True,
        )
        raise
    return portfolio


@app.command()
def show(name: Name, endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """Show a portfolio: its policies, their values and its certificate."""
    with options.client(endpoints) as client:
        found = client.selector.get_portfolio(name)
    _show(found, as_json)


@app.command("list")
def list_portfolios(endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """List the portfolios, newest first."""
    with options.client(endpoints) as client:
        found = list(client.selector.list_portfolios())
    from palmfolio.cli.render import tables

    options.show(as_json, found, tables.portfolios)


@app.command()
def plan(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.yaml", help="The portfolio file.")],
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Show what a build would train and could guarantee; nothing is trained."""
    from palmfolio.cli.files.portfolio_spec import load_portfolio
    from palmfolio.cli.render import plans

    wanted = load_portfolio(spec)
    with options.client(endpoints) as client:
        training = client.selector.create_prompt_set(wanted.training_prompts)
        evaluation = client.selector.create_prompt_set(wanted.evaluation_prompts)
        found = client.selector.plan_portfolio(
            wanted.with_prompt_sets(training.name, evaluation.name)
        )
    options.show(as_json, found, plans.plan)


@app.command()
def certify(
    name: Name,
    epsilon: Annotated[float, typer.Option(help="For the additive gap, in [0, 1).")] = 0.0,
    delta: Annotated[float, typer.Option(help="For the multiplicative gap, in [0, 1].")] = 0.0,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Certify a portfolio against its candidates at any epsilon and delta."""
    from palmfolio.cli.render import plans

    with options.client(endpoints) as client:
        found = client.selector.certify_portfolio(name, epsilon=epsilon, delta=delta)
    options.show(as_json, found, plans.certification)


@app.command()
def tradeoff(
    name: Name,
    max_size: Annotated[int, typer.Option(help="The largest size; 0 means 8.")] = 0,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Show the smallest gap of every size: what another member would buy."""
    from palmfolio.cli.render import plans

    with options.client(endpoints) as client:
        found = client.selector.tradeoff_curve(name, max_size=max_size)
    options.show(as_json, found, plans.tradeoff)


@app.command()
def report(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Default: NAME.html.", show_default=False),
    ] = None,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Write a portfolio's report, one HTML page that loads nothing."""
    from palmfolio.report import render

    with options.client(endpoints) as client:
        content = render(_report(client, name))
    path = output or Path(f"{name.removeprefix('portfolios/')}.html")
    path.write_text(content, encoding="utf-8")
    options.show(as_json, {"report": str(path)}, lambda value: f"wrote {value['report']}")


@app.command()
def export(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Default: standard output.", show_default=False),
    ] = None,
    endpoints: options.Endpoints = None,
) -> None:
    """Write a portfolio as JSON: all that is known of it, its adapters and trade-off curve."""
    from palmfolio.cli.render.plain import to_json, to_plain

    with options.client(endpoints) as client:
        found = client.selector.get_portfolio(name)
        curve = _curve(client, found) if found.certificate else ()
    content = {
        **to_plain(found),
        "members": [member.policy for member in found.members],
        "adapters": {member.policy: member.adapter for member in found.members if member.adapter},
        "tradeoff": to_plain(curve),
    }
    if output is None:
        typer.echo(to_json(content))
        return
    output.write_text(to_json(content) + "\n", encoding="utf-8")
    typer.echo(f"wrote {output}")


def _report(client: "Client", name: str) -> "Report":
    """A report with its trade-off curve, and users answered with what the evaluation sampled."""
    from palmfolio.report import Answer, Report, User
    from palmfolio.report.users import typical_users

    portfolio = client.selector.get_portfolio(name)
    content = Report(portfolio)
    users = []
    for label, weights in typical_users(portfolio.spec.traits):
        policy = client.selector.route(name, weights).policy
        answers = tuple(
            Answer(item.prompt, item.response, item.rewards)
            for item in portfolio.sample_answers
            if item.policy == policy
        )
        users.append(User(label, weights, policy, answers))
    curve = _curve(client, portfolio)
    return dataclasses.replace(content, users=tuple(users), tradeoff=curve)


def _curve(client: "Client", portfolio: "Portfolio") -> "tuple[TradeoffPoint, ...]":
    from palmfolio.report import tradeoff

    return client.selector.tradeoff_curve(
        portfolio.name, max_size=tradeoff.largest_size(portfolio), time_limit=tradeoff.SECONDS
    )


def _show(portfolio: "Portfolio", as_json: bool) -> None:
    from palmfolio.cli.render import tables
    from palmfolio.report import Report

    if as_json:
        from palmfolio.cli.render.plain import print_json

        print_json(portfolio)
        return
    console = options.console()
    if not portfolio.certificate:
        reason = f": {portfolio.error.message}" if portfolio.error else ""
        console.print(f"{portfolio.name} is {portfolio.state}{reason}", markup=False)
        return
    content = Report(portfolio)
    console.print(tables.portfolio(content))
    console.print(tables.certificate(content))
