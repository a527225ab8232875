"""Space on the volumes that the trainer writes to."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from palmfolio_runtime.logs import get_logger

log = get_logger(__name__)

_LEAST_BYTES = 16 * 2**20


class VolumeWatch:
    """Notices when a volume has run out of space, and when there is space again.

    How much a training needs shows only when it gets too little. The space that must be free is
    therefore doubled each time that it was not enough: otherwise one training after the other
    would be started only to fail.

    Args:
        folders: at least one on each volume that trainings write to.

    Attributes:
        trouble: what is wrong; empty while there is space.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._bytes = _LEAST_BYTES
        self.trouble = ""

    def note_full(self, error: str) -> None:
        """Notes that there was too little space, with the system's error."""
        if self.trouble:
            return
        self._bytes *= 2
        self.trouble = (
            f"no room for trainings: {error}; they go on once {self._bytes // 2**20} MiB are free"
        )
        log.error("trouble with the volume", reason=self.trouble)

    def note_enough(self) -> None:
        """Notes that a training had all the space it needed."""
        self._bytes = _LEAST_BYTES

    def check(self) -> None:
        """Clears `trouble` once there is space again. Blocking."""
        if self.trouble and all(_has_space(folder, self._bytes) for folder in self._folders):
            log.info("the volume has room again")
            self.trouble = ""


def _has_space(folder: Path, size: int) -> bool:
    """Whether a file of that size can be written.

    Writing one is the only test that also respects quotas.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        return False
    return True
