"""The trainer's state folder: one trainer at a time, with an identity that survives restarts."""

import fcntl
import uuid
from pathlib import Path
from typing import IO

from palmfolio_runtime.files import write_text


class StateError(RuntimeError):
    """The state folder cannot be used."""


class StateFolder:
    """A locked state folder.

    Args:
        path: made when it does not exist.

    Raises:
        StateError: another trainer uses it, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] = (self.path / "lock").open("w", encoding="utf-8")
        except OSError as error:
            raise StateError(f"state_dir {path} cannot be used: {error}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateError(
                f"state_dir {path} is in use by another trainer: stop it, or choose another folder"
            ) from error
        try:
            self.owner = self._identity(self.path / "identity")
            """Who owns the leases of this folder's trainer."""
        except OSError as error:
            raise StateError(f"state_dir {path} cannot be written: {error}") from error

    def close(self) -> None:
        """Releases the lock."""
        self._lock.close()

    @staticmethod
    def _identity(path: Path) -> str:
        if not path.exists():
            write_text(path, uuid.uuid4().hex)
        return path.read_text(encoding="utf-8").strip()
