"""The progress of scoring: done, rate, time left."""

import io

from rich.console import Console

from palmfolio.cli.render.scoring import ScoreProgress


def _shown(terminal: bool) -> str:
    now = [100.0]
    written = io.StringIO()
    console = Console(
        file=written,
        force_terminal=terminal,
        width=120,
        legacy_windows=False,
        color_system=None,
    )
    with ScoreProgress(console, 1000, clock=lambda: now[0]) as progress:
        for done in range(0, 1000, 10):
            now[0] += 0.25
            progress.show(done)
    return written.getvalue()


def test_away_from_a_terminal_a_line_comes_every_ten_seconds() -> None:
    assert _shown(terminal=False).splitlines() == [
        "scored 390 of 1,000  39/s  16 s left",
        "scored 790 of 1,000  40/s  5 s left",
    ]


def test_a_terminal_shows_a_bar() -> None:
    assert "990/1000" in _shown(terminal=True)
