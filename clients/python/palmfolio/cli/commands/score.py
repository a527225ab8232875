"""`palmfolio score`."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palmfolio.cli import options

if TYPE_CHECKING:
    from palmfolio import Client, Rewards, Sample, ScoredSample
    from palmfolio.cli.files.reward_summary import Summary
    from palmfolio.cli.files.samples import Line


def score(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE.jsonl",
            help="One JSON object a line: prompt, response and optionally reference.",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="One prompt, instead of a file.")] = None,
    response: Annotated[str | None, typer.Option(help="The response to --prompt.")] = None,
    reference: Annotated[
        str | None, typer.Option(help="The expected answer to --prompt.", show_default=False)
    ] = None,
    traits: Annotated[
        str, typer.Option(metavar="NAME,…", help="Traits to score. Default: all.")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the rewards to FILE.jsonl or FILE.parquet, of any length, and print a "
            "summary. FILE appears when it is complete; until then there is FILE.partial.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="For everything. Default: none.", show_default=False),
    ] = None,
    endpoints: options.Endpoints = None,
    as_json: options.Json = False,
) -> None:
    """Score responses, one reward per trait."""
    lines, total = _lines(file, prompt, response, reference)
    wanted = [name.strip() for name in traits.split(",") if name.strip()]
    from palmfolio.cli.files.reward_summary import Summary
    from palmfolio.cli.files.rewards import RewardsFile
    from palmfolio.cli.render.scoring import ScoreProgress

    summary = Summary()
    kept: list[ScoredSample] = []
    writing = RewardsFile(output) if output else None
    progress = ScoreProgress(options.console(stderr=True), total)
    try:
        with options.client(endpoints) as client, writing or nullcontext(), progress:
            for line, scored in _scored(client, lines, wanted, timeout):
                summary.add(line, scored)
                progress.show(summary.samples)
                if writing:
                    writing.write(line, scored)
                else:
                    kept.append(scored)
    except BaseException:
        if writing and writing.rows:
            typer.echo(f"note: {writing.rows} rows are in {writing.partial}", err=True)
        raise
    _show(kept, summary, output, as_json)
    _fail_where_incomplete(summary)


def _lines(
    file: Path | None, prompt: str | None, response: str | None, reference: str | None
) -> "tuple[Iterable[Line], int]":
    from palmfolio import Sample
    from palmfolio.cli.files.samples import Line, count_samples, read_samples

    if file is not None:
        if prompt is not None or response is not None:
            raise typer.BadParameter("give FILE.jsonl, or --prompt and --response, not both")
        return read_samples(file), count_samples(file)
    if prompt is None or response is None:
        raise typer.BadParameter("give FILE.jsonl, or both --prompt and --response")
    return [Line(1, Sample(prompt, response, reference))], 1


def _scored(
    client: "Client", lines: "Iterable[Line]", traits: list[str], timeout: float | None
) -> "Iterator[tuple[int, ScoredSample]]":
    """Scored samples with their line numbers. Results come in the order of the samples."""
    numbers: deque[int] = deque()

    def samples() -> "Iterator[Sample]":
        for line in lines:
            numbers.append(line.number)
            yield line.sample

    for scored in client.scorer.score_stream(samples(), traits=traits, timeout=timeout):
        yield numbers.popleft(), scored


def _show(
    kept: "list[ScoredSample]", summary: "Summary", output: Path | None, as_json: bool
) -> None:
    from palmfolio.cli.render import tables
    from palmfolio.cli.render.plain import print_json
    from palmfolio.cli.render.scoring import summary_table

    if output is not None:
        plain = {**summary.as_plain(), "output": str(output)}
        options.show(as_json, plain, lambda _: summary_table(summary, output))
    elif as_json:
        print_json(_joined(kept))
    else:
        samples = [scored.sample for scored in kept]
        options.console().print(tables.rewards(samples, _joined(kept)))


def _joined(kept: "list[ScoredSample]") -> "Rewards":
    from palmfolio import Rewards

    return Rewards(
        traits=kept[0].traits,
        trait_versions=kept[-1].trait_versions,
        raw=tuple(scored.raw for scored in kept),
        normalised=tuple(scored.normalised for scored in kept),
        statuses=tuple(scored.status for scored in kept),
    )


def _fail_where_incomplete(summary: "Summary") -> None:
    problems = []
    if summary.failed:
        reasons = "; ".join(f"line {line}: {message}" for line, message in summary.errors)
        more = "; …" if summary.failed > len(summary.errors) else ""
        problems.append(
            f"{summary.failed} of {summary.samples} samples could not be scored: {reasons}{more}"
        )
    if summary.changed_traits:
        problems.append(
            f"the version of {', '.join(summary.changed_traits)} changed while scoring: rewards "
            "before and after do not compare; score again"
        )
    if problems:
        typer.echo(f"error: {'. '.join(problems)}", err=True)
        raise typer.Exit(1)
