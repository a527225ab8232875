"""Room on the volumes that the trainer writes to."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from palmfolio_runtime.logs import get_logger

log = get_logger(__name__)

_LEAST_BYTES = 16 * 2**20


class Room:
    """Knows when a volume ran out of room, and finds out when there is room again.

    How much a training needs is known only when there is too little: what must be free is doubled
    each time that it was not enough, so that trainings do not fail one after the other.

    Args:
        folders: one on each volume, or some on the same.

    Attributes:
        trouble: what is wrong; empty while there is room.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._bytes = _LEAST_BYTES
        self.trouble = ""

    def ran_out(self, error: str) -> None:
        """Notes that there was too little room, with the system's error."""
        if self.trouble:
            return
        self._bytes *= 2
        self.trouble = (
            f"no room for trainings: {error}; they go on once {self._bytes // 2**20} MiB are free"
        )
        log.error("trouble with the volume", reason=self.trouble)

    def was_enough(self) -> None:
        """Notes that a training had all the room it needed."""
        self._bytes = _LEAST_BYTES

    def look(self) -> None:
        """Looks whether there is room again, if there was too little. Blocking."""
        if self.trouble and all(_has(folder, self._bytes) for folder in self._folders):
            log.info("the volume has room again")
            self.trouble = ""


def _has(folder: Path, size: int) -> bool:
    """Whether a file of that size could be written; asks quotas as well."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        return False
    return True
