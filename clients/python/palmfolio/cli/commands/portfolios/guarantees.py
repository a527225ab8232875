"""`palmfolio portfolios select`, `certify` and `tradeoff`: computed from what was measured."""

from typing import TYPE_CHECKING, Annotated

import typer

from palmfolio.cli import options
from palmfolio.cli.commands.portfolios.stored import Name, show_portfolio
from palmfolio.cli.pairs import parse_names, parse_versions

if TYPE_CHECKING:
    from palmfolio import SamplingConfig, Selection, StoredEvaluations


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
    epsilon: options.Epsilon = 0.0,
    delta: options.Delta = 0.0,
    size: options.Size = None,
    method: options.SelectionMethod = options.Method.MINIMUM,
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Time for the search and its proof. Default: the selector's, 60 unless its "
            "configuration differs.",
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
    from palmfolio import SamplingConfig, SelectionMethod

    options.check_target(epsilon, delta, size)
    candidates: str | StoredEvaluations
    if (portfolio is None) == (prompt_set is None):
        raise typer.BadParameter("give either --portfolio, or --prompt-set with --traits")
    if portfolio is not None:
        candidates = portfolio
    else:
        sampling = SamplingConfig(samples, max_tokens, temperature, top_p, seed)
        candidates = _stored(prompt_set or "", traits, trait_versions, source, sampling, policies)
    with options.client(endpoints) as client:
        selection = client.selector.select_portfolio(
            candidates,
            epsilon=epsilon,
            delta=delta,
            max_size=size,
            method=SelectionMethod(method.value),
            time_limit=time_limit,
            portfolio_id=save,
        )
    _show(selection, as_json)


def _stored(
    prompt_set: str,
    traits: str,
    trait_versions: str,
    source: str | None,
    sampling: "SamplingConfig",
    policies: str,
) -> "StoredEvaluations":
    """The evaluations that the options name. Imported ones were not sampled here."""
    from palmfolio import StoredEvaluations

    names = parse_names(traits)
    if not names:
        raise typer.BadParameter("--prompt-set needs --traits, for example kind,brief")
    return StoredEvaluations(
        prompt_set=prompt_set,
        traits=names,
        trait_versions=parse_versions(trait_versions),
        source=source,
        sampling=sampling if source is None else None,
        policies=parse_names(policies),
    )


def _show(selection: "Selection", as_json: bool) -> None:
    if as_json:
        from palmfolio.cli.render.plain import print_json

        print_json(selection)
        return
    if selection.incomplete_policies:
        lacking = ", ".join(selection.incomplete_policies)
        typer.echo(f"note: these policies lack evaluations and are left out: {lacking}", err=True)
    show_portfolio(selection.portfolio, as_json)


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
        certification = client.selector.certify_portfolio(name, epsilon=epsilon, delta=delta)
    options.show(as_json, certification, answers.certification)


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
        points = client.selector.tradeoff_curve(name, max_size=max_size)
    options.show(as_json, points, answers.tradeoff)
