"""One training: its progress, and the policy that it made."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from palmfolio import types
from palmfolio.cli.render.live import LiveDisplay
from palmfolio.cli.render.tables import weights_text

_LINE_SECONDS = 10.0


class TrainingDisplay(LiveDisplay):
    """Shows the events of one training: a bar in a terminal, lines elsewhere.

    Args:
        console: where to show them.
        clock: the time in seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._last_line = clock()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[rewards]}", style="dim"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("training", total=None, rewards="")
        super().__init__(console, self._bar)

    def show(self, event: types.TrainingEvent) -> None:
        """Shows one more event."""
        progress = event.progress
        if self._console.is_terminal:
            self._bar.update(
                self._task,
                description=progress.stage or "training",
                completed=progress.step,
                total=progress.steps,
                rewards=_rewards(progress),
            )
            return
        now = self._clock()
        # Every change of stage is news; steps are only from time to time, or logs fill up.
        if progress.stage == self._stage and now - self._last_line < _LINE_SECONDS:
            return
        self._stage, self._last_line = progress.stage, now
        steps = f"{progress.step}/{progress.steps}" if progress.steps else ""
        parts = (progress.stage, steps, event.message, _rewards(progress))
        line = "  ".join(part for part in parts if part)
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def policy(trained: types.Policy) -> Table:
    """What determines a policy, and where its adapter is."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    grid.add_row("policy", Text(trained.name, "bold"))
    grid.add_row("state", trained.state)
    if trained.error is not None:
        grid.add_row("error", Text(trained.error.message, "red"))
    grid.add_row("base model", trained.spec.base_model)
    if trained.is_base_model:
        grid.add_row("trained for", "nothing: the base model, unchanged")
        return grid
    grid.add_row("trained for", weights_text(trained.spec.weights))
    for trait, version in sorted(trained.spec.trait_versions.items()):
        grid.add_row(f"version of {trait}", version)
    if trained.spec.initial_policy:
        grid.add_row("started from", trained.spec.initial_policy)
    grid.add_row("seed", str(trained.spec.seed))
    grid.add_row("adapter", trained.adapter or "–")
    return grid


def _rewards(progress: types.TrainingProgress) -> str:
    means = sorted(progress.reward_means.items())
    parts = [f"{trait} {mean:.2f}" for trait, mean in means]
    if progress.unscored_completions:
        counts = f"{progress.unscored_completions:,} of {progress.completions:,}"
        parts.append(f"({counts} completions without rewards)")
    return " ".join(parts)
