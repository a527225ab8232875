"""What is shown while a command works."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress
from rich.status import Status


class LiveDisplay:
    """Shows bars or a status while its `with` block runs, in a terminal only.

    Elsewhere rich would print an empty line at the end, so there subclasses print lines themselves.

    Args:
        console: where to show it.
        live: the bars or the status.
    """

    def __init__(self, console: Console, live: Progress | Status) -> None:
        self._console = console
        self._live = live

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
