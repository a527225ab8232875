"""`palmfolio score`."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palmfolio.cli import options
from palmfolio.cli.pairs import parse_fields

if TYPE_CHECKING:
    from palmfolio import Client, Rewards, Sample, ScoredSample
    from palmfolio.cli.files.reward_summary import Summary
    from palmfolio.files import SampleRow


def score(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Rows with a `prompt`, a `response` and optionally a `reference`, in .jsonl, "
            ".json, .csv, .tsv or .parquet; each also .gz. `-` is standard input, "
            "`hub:OWNER/NAME@REVISION#SPLIT` a data set of the Hugging Face hub.",
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
    field: options.Fields = None,
    format: options.Format = None,
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
    rows: Iterable[SampleRow]
    if file is None:
        rows, total = _only_row(prompt, response, reference), 1
    elif prompt is not None or response is not None:
        raise typer.BadParameter("give FILE, or --prompt and --response, not both")
    else:
        from palmfolio.files import SampleFile

        rows = SampleFile(file, format=format, fields=parse_fields(field), strict=False)
        total = rows.count()
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
            for row, scored in _scored(client, rows, wanted, timeout):
                summary.add(row.number, scored)
                progress.show(summary.samples)
                if writing:
                    writing.write(row, scored)
                else:
                    kept.append(scored)
    except BaseException:
        if writing and writing.rows:
            typer.echo(f"note: {writing.rows} rows are in {writing.partial}", err=True)
        raise
    _show(kept, summary, output, as_json)
    _tell_cuts(summary)
    _fail_where_incomplete(summary)


def _only_row(prompt: str | None, response: str | None, reference: str | None) -> "list[SampleRow]":
    from palmfolio import Sample
    from palmfolio.files import SampleRow

    if prompt is None or response is None:
        raise typer.BadParameter("give FILE, or both --prompt and --response")
    return [SampleRow(1, Sample(prompt, response, reference))]


def _scored(
    client: "Client", rows: "Iterable[SampleRow]", traits: list[str], timeout: float | None
) -> "Iterator[tuple[SampleRow, ScoredSample]]":
    """Rows with their scored samples. Results come in the order of the samples."""
    sent: deque[SampleRow] = deque()

    def samples() -> "Iterator[Sample]":
        for row in rows:
            sent.append(row)
            yield row.sample

    for scored in client.scorer.score_stream(samples(), traits=traits, timeout=timeout):
        yield sent.popleft(), scored


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


def _tell_cuts(summary: "Summary") -> None:
    if cuts := summary.cut_traits:
        counts = ", ".join(f"{count:,} for {trait}" for trait, count in cuts.items())
        lines = ", ".join(str(line) for line in summary.cut)
        typer.echo(
            f"note: samples longer than a model reads were cut: {counts}; first lines: {lines}",
            err=True,
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
