"""The progress of a build: bars in a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from palmfolio.cli.render.live import LiveDisplay
from palmfolio.report.model import short
from palmfolio.types import BuildEvent, BuildStage

# Without a terminal, output goes to a log, which must stay short.
_LINE_SECONDS = 10.0
_OPEN = (BuildStage.UNSPECIFIED, BuildStage.DONE)


class BuildProgress(LiveDisplay):
    """Shows the events of one build, and adds up what each stage took.

    A build trains some policies while it evaluates others, so each stage has a bar of its own.
    Events from before the display was opened are not printed: the command may follow a build that
    has run for hours.

    Args:
        console: where to show them.
        clock: the time in seconds, for durations.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._opened = datetime.now(UTC)
        self._seconds: dict[str, float] = {}
        self._last_time = clock()
        self._last_line: dict[str, float] = {}
        self._complete: set[tuple[BuildStage, str]] = set()
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
            transient=True,
        )
        policies = self._bars.add_task("policies", total=None, note="")
        self._tasks: dict[BuildStage | None, TaskID] = {None: policies}
        super().__init__(console, self._bars)

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds by stage so far: the time until each event counts for the event's stage."""
        return dict(self._seconds)

    def show(self, event: BuildEvent) -> None:
        """Shows one more event."""
        if self._console.is_terminal:
            self._show_bars(event)
        if event.time is not None and event.time < self._opened:
            return
        self._measure(event)
        if self._is_news(event):
            self._print(event)

    def _measure(self, event: BuildEvent) -> None:
        now = self._clock()
        if event.stage not in _OPEN:
            spent = self._seconds.get(event.stage, 0.0)
            self._seconds[str(event.stage)] = spent + now - self._last_time
        self._last_time = now

    def _show_bars(self, event: BuildEvent) -> None:
        self._bars.update(
            self._tasks[None],
            completed=event.candidates_done,
            total=event.candidates_total or None,
        )
        if event.total is None:
            return
        task = self._tasks.get(event.stage)
        if task is None:
            task = self._bars.add_task(str(event.stage), total=event.total, note="")
            self._tasks[event.stage] = task
        about = event.message if event.stage is BuildStage.TRAINING else short(event.policy or "")
        self._bars.update(
            task, completed=event.done, total=event.total, note=f"{about}  {_rewards(event)}"
        )
        if event.done >= event.total:
            self._bars.remove_task(self._tasks.pop(event.stage))

    def _is_news(self, event: BuildEvent) -> bool:
        """Whether to print an event: those with a count only when complete, or at intervals."""
        if event.total is None:
            return True
        if event.done >= event.total:
            key = (event.stage, event.policy or str(event.candidates_done))
            first = key not in self._complete
            self._complete.add(key)
            return first
        now = self._clock()
        due = now - self._last_line.get(event.stage, -_LINE_SECONDS) >= _LINE_SECONDS
        if due and not self._console.is_terminal:
            self._last_line[event.stage] = now
            return True
        return False

    def _print(self, event: BuildEvent) -> None:
        counts = f"[{event.candidates_done}/{event.candidates_total}]"
        counted = f"{event.done} of {event.total}" in event.message
        measure = f"{event.done}/{event.total}" if event.total and not counted else ""
        policy = short(event.policy) if event.policy else ""
        parts = (counts, event.message, measure, policy, _rewards(event))
        line = "  " + "  ".join(part for part in parts if part)
        target = self._bars.console if self._console.is_terminal else self._console
        target.print(line, markup=False, highlight=False, soft_wrap=True)


def _rewards(event: BuildEvent) -> str:
    means = sorted(event.reward_means.items())
    return " ".join(f"{trait} {mean:.2f}" for trait, mean in means)
