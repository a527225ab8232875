"""`palmfolio route`."""

from typing import Annotated

import typer

from palmfolio.cli import options
from palmfolio.cli.pairs import parse_weights


def route(
    portfolio: Annotated[str, typer.Option(metavar="NAME", help="The portfolio to route in.")],
    weights: Annotated[
        str,
        typer.Option(metavar="TRAIT=NUMBER,…", help="The user's weights, in any scale."),
    ],
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Find the policy of a portfolio that serves a user best."""
    parsed = parse_weights(weights)
    with options.client(endpoints) as client:
        routed = client.selector.route(portfolio, parsed)
    from palmfolio.cli.render import tables

    options.show(as_json, routed, tables.route)
