"""`palmfolio train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palmfolio.cli import options
from palmfolio.cli.pairs import parse_fields, parse_versions, parse_weights

if TYPE_CHECKING:
    from palmfolio import Client, GrpoConfig, Policy, Training


def train(
    weights: Annotated[
        str,
        typer.Option(metavar="TRAIT=NUMBER,…", help="What to align to, in any scale."),
    ],
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="A prompt to train on; may be given several times.", show_default=False),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"Prompts to train on: {options.PROMPT_FILE}",
            show_default=False,
        ),
    ] = None,
    field: options.Fields = None,
    format: options.Format = None,
    base_model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The model to align. Default: the trainer's, where it has only one.",
            show_default=False,
        ),
    ] = None,
    initial_policy: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Start from this policy's adapter.", show_default=False),
    ] = None,
    trait_versions: Annotated[
        str,
        typer.Option(metavar="TRAIT=VERSION,…", help="Fail unless the scorer has these versions."),
    ] = "",
    seed: Annotated[int, typer.Option(help="Seeds sampling and initialisation.")] = 0,
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.yaml",
            help="Training settings, with the keys of `grpo` in a portfolio file. The options "
            "below take precedence over it.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Optimisation steps.", show_default=False)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Learning rate.", show_default=False)
    ] = None,
    lora_rank: Annotated[
        int | None, typer.Option(help="LoRA rank on every linear layer.", show_default=False)
    ] = None,
    lora_alpha: Annotated[
        float | None, typer.Option(help="LoRA alpha.", show_default=False)
    ] = None,
    prompts_per_step: Annotated[
        int | None, typer.Option(help="Different prompts in a step.", show_default=False)
    ] = None,
    completions_per_prompt: Annotated[
        int | None, typer.Option(help="Completions for each prompt.", show_default=False)
    ] = None,
    max_completion_tokens: Annotated[
        int | None, typer.Option(help="Tokens of a completion at most.", show_default=False)
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Sampling temperature.", show_default=False)
    ] = None,
    kl_coefficient: Annotated[
        float | None,
        typer.Option(help="Weight of the KL term against the base model.", show_default=False),
    ] = None,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Align a policy to weights over traits, and wait until it is trained.

    The same weights, prompts, settings and seed always give the same policy: it is trained once.
    Settings that are left out take the trainer's defaults.
    """
    from palmfolio import PolicySpec
    from palmfolio.files import read_prompts

    parsed = parse_weights(weights)
    read = read_prompts(prompts, format=format, fields=parse_fields(field)) if prompts else ()
    texts = (*(prompt or ()), *read)
    if not texts:
        raise typer.BadParameter("give at least one --prompt, or --prompts FILE")
    method = _settings(
        settings,
        steps=steps,
        learning_rate=learning_rate,
        lora_rank=lora_rank,
        lora_alpha=lora_alpha,
        prompts_per_step=prompts_per_step,
        completions_per_prompt=completions_per_prompt,
        max_completion_tokens=max_completion_tokens,
        temperature=temperature,
        kl_coefficient=kl_coefficient,
    )
    with options.client(endpoints) as client:
        spec = PolicySpec(
            base_model=base_model or _only_base_model(client),
            weights=parsed,
            prompts=texts,
            trait_versions=parse_versions(trait_versions),
            seed=seed,
            initial_policy=initial_policy,
            method=method,
        )
        trained = _follow(client.trainer.train_policy(spec))
    from palmfolio.cli.render import trainings

    options.show(as_json, trained, trainings.policy)


def _settings(path: Path | None, **given: Any) -> "GrpoConfig":
    """The settings of a file, replaced by the options that were given."""
    import dataclasses

    from palmfolio import GrpoConfig
    from palmfolio.cli.files.yaml_values import build
    from palmfolio.files.text import read_yaml

    config = GrpoConfig()
    if path is not None:
        # An empty file is an empty mapping to its author, but None to YAML.
        config = build(GrpoConfig, read_yaml(path) or {}, f"{path}: ")
    chosen = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(config, **chosen)


def _only_base_model(client: "Client") -> str:
    names = [model.name for model in client.trainer.server_info().base_models]
    if len(names) != 1:
        known = ", ".join(names) or "none"
        raise typer.BadParameter(f"name the model to align with --base-model; known: {known}")
    return names[0]


def _follow(training: "Training") -> "Policy":
    """Shows a training until it is done. Ctrl-C leaves it running in the trainer."""
    from palmfolio.cli.render.trainings import TrainingDisplay

    try:
        with TrainingDisplay(options.console(stderr=True)) as display:
            for event in training.events():
                display.show(event)
            return training.result()
    except KeyboardInterrupt:
        typer.echo(
            f"{training.name} goes on in the trainer; run the same command to follow it, or "
            f"`palmfolio operations cancel {training.name}` to stop it",
            err=True,
        )
        raise
