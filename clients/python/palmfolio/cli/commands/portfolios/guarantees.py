"""`palmfolio portfolios select`, `certify` and `tradeoff`: computed from what was measured."""

from typing import TYPE_CHECKING, Annotated

import typer

from palmfolio.cli import options
from palmfolio.cli.commands.portfolios.stored import Name, show_portfolio
from palmfolio.cli.commands.select import Method
from palmfolio.cli.pairs import parse_names, parse_versions

if TYPE_CHECKING:
    pass


def select(
    portfolio: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Choose from the candidates of this portfolio.", show_default=False
        ),
    ] = None,
    prompt_set: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Choose from policies with stored evaluations of this prompt set.",
            show_default=False,
        ),
    ] = None,
    traits: Annotated[
        str, typer.Option(metavar="NAME,…", help="The traits, with --prompt-set.")
    ] = "",
    trait_versions: Annotated[
        str,
        typer.Option(
            metavar="TRAIT=VERSION,…",
            help="Versions of the traits, where several are stored.",
        ),
    ] = "",
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The source of imported evaluations. Default: those that builds made.",
            show_default=False,
        ),
    ] = None,
    policies: Annotated[
        str,
        typer.Option(
            metavar="NAME,…",
            help="Policies to choose from. Default: all that have the evaluations.",
        ),
    ] = "",
    epsilon: Annotated[float, typer.Option(help="Multiplicative gap allowed, in [0, 1).")] = 0.0,
    delta: Annotated[float, typer.Option(help="Additive gap allowed, in [0, 1].")] = 0.0,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=1,
            help="Members at most. With epsilon and delta 0: the best portfolio of that size.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        Method, typer.Option(help="`minimum` proves that fewer do not do; `greedy` is quick.")
    ] = Method.MINIMUM,
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Time for the proof. Default: the selector's.",
            show_default=False,
        ),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Store the portfolio under this id, to route with.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Responses to each prompt, of builds.", show_default=False),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of a response at most, of builds.", show_default=False),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0.0, help="Sampling temperature of builds.", show_default=False),
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Nucleus of builds, in (0, 1].", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Sampling seed of builds.", show_default=False)
    ] = None,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Select a portfolio from stored evaluations; nothing is trained.

    `palmfolio select` does the same for a CSV file, without a service.
    """
    from palmfolio import SamplingConfig, SelectionMethod, StoredEvaluations

    candidates: str | StoredEvaluations
    if (portfolio is None) == (prompt_set is None):
        raise typer.BadParameter("give either --portfolio, or --prompt-set with --traits")
    if portfolio is not None:
        candidates = portfolio
    else:
        names = parse_names(traits)
        if not names:
            raise typer.BadParameter("--prompt-set needs --traits, for example kind,brief")
        sampled = (samples, max_tokens, temperature, top_p, seed)
        candidates = StoredEvaluations(
            prompt_set=prompt_set or "",
            traits=names,
            trait_versions=parse_versions(trait_versions),
            source=source,
            sampling=SamplingConfig(*sampled) if source is None else None,
            policies=parse_names(policies),
        )
    with options.client(endpoints) as client:
        found = client.selector.select_portfolio(
            candidates,
            epsilon=epsilon,
            delta=delta,
            max_size=size,
            method=SelectionMethod(method.value),
            time_limit=time_limit,
            portfolio_id=save,
        )
    if as_json:
        from palmfolio.cli.render.plain import print_json

        print_json(found)
        return
    if found.incomplete_policies:
        lacking = ", ".join(found.incomplete_policies)
        typer.echo(f"note: no candidates, as they lack evaluations: {lacking}", err=True)
    show_portfolio(found.portfolio, as_json)


def certify(
    name: Name,
    epsilon: Annotated[float, typer.Option(help="For the additive gap, in [0, 1).")] = 0.0,
    delta: Annotated[float, typer.Option(help="For the multiplicative gap, in [0, 1].")] = 0.0,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Certify a portfolio against its candidates at any epsilon and delta."""
    from palmfolio.cli.render import answers

    with options.client(endpoints) as client:
        found = client.selector.certify_portfolio(name, epsilon=epsilon, delta=delta)
    options.show(as_json, found, answers.certification)


def tradeoff(
    name: Name,
    max_size: Annotated[
        int | None,
        typer.Option(min=1, help="The largest size. Default: 8.", show_default=False),
    ] = None,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Show the smallest gap of every size: what another member would buy."""
    from palmfolio.cli.render import answers

    with options.client(endpoints) as client:
        found = client.selector.tradeoff_curve(name, max_size=max_size)
    options.show(as_json, found, answers.tradeoff)
