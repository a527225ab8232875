"""`palmfolio portfolios report` and `export`, which write files."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palmfolio._names import resource_id
from palmfolio.cli import options
from palmfolio.cli.commands.portfolios.stored import Name

if TYPE_CHECKING:
    from palmfolio import Client, Portfolio
    from palmfolio.report import Report
    from palmfolio.types import TradeoffPoint


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
    path = output or Path(f"{resource_id(name)}.html")
    path.write_text(content, encoding="utf-8")
    options.show(as_json, {"report": str(path)}, lambda value: f"wrote {value['report']}")


def export(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Default: standard output.", show_default=False),
    ] = None,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Write a portfolio as JSON, with its adapters and its trade-off curve."""
    from palmfolio.cli.render.plain import to_json, to_plain

    with options.client(endpoints) as client:
        portfolio = client.selector.get_portfolio(name)
        curve = _curve(client, portfolio) if portfolio.certificate else ()
    content = {
        **to_plain(portfolio),
        "members": [member.policy for member in portfolio.members],
        "adapters": {
            member.policy: member.adapter for member in portfolio.members if member.adapter
        },
        "tradeoff": to_plain(curve),
    }
    if output is None:
        typer.echo(to_json(content))
        return
    output.write_text(to_json(content) + "\n", encoding="utf-8")
    options.show(as_json, {"export": str(output)}, lambda value: f"wrote {value['export']}")


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
            Answer(str(item.prompt), item.response, item.rewards)
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
