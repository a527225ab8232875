"""`palmfolio portfolios list`, `show` and `delete`: the portfolios that the selector has."""

from typing import TYPE_CHECKING, Annotated

import typer

from palmfolio.cli import options

if TYPE_CHECKING:
    from palmfolio import Portfolio

Name = Annotated[str, typer.Argument(metavar="NAME", help="The portfolio's name.")]


def list_portfolios(endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """List the portfolios, newest first."""
    with options.client(endpoints) as client:
        portfolios = list(client.selector.list_portfolios())
    from palmfolio.cli.render import tables

    options.show(as_json, portfolios, tables.portfolios)


def show(name: Name, endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """Show a portfolio: its policies, their values, its certificate and its output diversity."""
    with options.client(endpoints) as client:
        portfolio = client.selector.get_portfolio(name)
    show_portfolio(portfolio, as_json)


def delete(name: Name, endpoints: options.Endpoints = None, as_json: options.Json = False) -> None:
    """Delete a portfolio. Its policies and evaluations stay."""
    with options.client(endpoints) as client:
        client.selector.delete_portfolio(name)
    options.show_deleted(as_json, "portfolios", name)


def show_portfolio(portfolio: "Portfolio", as_json: bool) -> None:
    """Prints a portfolio: as JSON, or its policies, certificate and output diversity as tables."""
    from palmfolio.cli.render import diversity, tables
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
    if portfolio.output_diversity is not None:
        console.print(diversity.output_diversity(portfolio.output_diversity))
