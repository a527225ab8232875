"""The progress of scoring many samples, and a summary of the rewards."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from palmfolio.cli.files.reward_summary import Summary
from palmfolio.cli.render.live import LiveDisplay

_LINE_SECONDS = 10.0
# Redrawing the bar for every sample could take longer than scoring it.
_UPDATE_SECONDS = 0.1


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "–/s", style="dim")


class ScoreProgress(LiveDisplay):
    """A bar with rate and time left in a terminal; elsewhere a line every ten seconds.

    Args:
        console: where to show it.
        total: samples in all.
        clock: the time, in seconds.
    """

    def __init__(
        self, console: Console, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._clock = clock
        self._start = self._last = clock()
        self._bar = Progress(
            TextColumn("scoring"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=total)
        super().__init__(console, self._bar)

    def show(self, done: int) -> None:
        """Shows the number of samples that are done."""
        now = self._clock()
        every = _UPDATE_SECONDS if self._console.is_terminal else _LINE_SECONDS
        if now - self._last < every:
            return
        self._last = now
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done)
            return
        rate = done / (now - self._start)
        left = (self._total - done) / rate
        self._console.print(
            f"scored {done:,} of {self._total:,}  {rate:,.0f}/s  {left:,.0f} s left",
            highlight=False,
        )


def summary_table(summary: Summary, output: Path) -> Table:
    """One trait a row: how many samples it scored, and its means."""
    numbers = summary.as_plain()
    rate = numbers["samples_per_second"]
    speed = f", {rate:,.0f}/s" if rate else ""
    grid = Table(
        "trait",
        "version",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=f"{summary.samples:,} samples in {numbers['seconds']:,.1f} s{speed} → {output}",
        title_justify="left",
        title_style="",
    )
    cut = summary.cut_traits
    for name in ("scored", *(["cut"] if cut else []), "mean", "raw mean"):
        grid.add_column(name, justify="right")
    for name, trait in numbers["traits"].items():
        versions = ", ".join(version[:12] for version in trait["versions"])
        means = (_mean(trait["mean"], ".3f"), _mean(trait["raw_mean"], ".4g"))
        counts = [f"{trait['scored']:,}", *([f"{trait['cut']:,}"] if cut else [])]
        grid.add_row(name, versions, *counts, *means)
    return grid


def _mean(value: Any, form: str) -> str:
    return "–" if value is None else format(value, form)
