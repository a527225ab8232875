"""The seconds of each stage, over all the runs that a portfolio needed."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path


class Stopwatch:
    """Adds up seconds by stage: of this run, and of a build that earlier runs began.

    Args:
        path: where the builds' seconds are kept between runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._run: dict[str, float] = {}
        self._build: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage of this run."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._run[name] = self._run.get(name, 0.0) + time.monotonic() - started

    def add_build(self, operation: str, seconds: Mapping[str, float]) -> None:
        """Adds this run's seconds of a build to those of earlier runs, and stores the sum."""
        kept = self._read()
        build = kept.get(operation, {})
        self._build = {
            stage: build.get(stage, 0.0) + seconds.get(stage, 0.0)
            for stage in dict.fromkeys([*build, *seconds])
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps({**kept, operation: self._build}), encoding="utf-8")

    def seconds(self) -> dict[str, float]:
        """Seconds by stage, the build's between those before and after it; `total` is the sum."""
        stages = {"start": self._run.get("start", 0.0), **self._build, **self._run}
        return {**stages, "total": sum(stages.values())}

    def _read(self) -> dict[str, dict[str, float]]:
        with suppress(OSError, ValueError):
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        return {}
