"""`palmfolio generate`."""

from pathlib import Path
from typing import Annotated

import typer

from palmfolio.cli import options
from palmfolio.cli.pairs import parse_fields


def generate(
    policy: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="A policy to sample from; may be given several times."),
    ],
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="A prompt; may be given several times.", show_default=False),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"Prompts: {options.PROMPT_FILE}",
            show_default=False,
        ),
    ] = None,
    field: options.Fields = None,
    format: options.Format = None,
    samples: Annotated[int, typer.Option(min=1, help="Responses for each prompt.")] = 1,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a response at most.")] = 64,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Nucleus, in (0, 1].")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same responses.")] = 0,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Sample responses from policies."""
    from palmfolio import Prompt, SamplingConfig
    from palmfolio.files import read_prompts

    read = read_prompts(prompts, format=format, fields=parse_fields(field)) if prompts else ()
    texts: list[str | Prompt] = [*(prompt or []), *read]
    if not texts:
        raise typer.BadParameter("give at least one --prompt, or --prompts FILE")
    sampling = SamplingConfig(
        samples_per_prompt=samples,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
    )
    with options.client(endpoints) as client:
        completions = client.trainer.generate(policy, texts, sampling=sampling)
    if as_json:
        from palmfolio.cli.render.plain import print_json

        print_json(completions)
        return
    console = options.console()
    for number, text in enumerate(texts):
        console.print(str(text), style="bold", markup=False, highlight=False)
        for item in completions:
            if item.prompt_index == number:
                console.print(f"  {item.policy}", style="dim", markup=False, highlight=False)
                console.print(f"  {item.text.strip()}", markup=False, highlight=False)
        console.print()
