"""Writing to a volume: files that are whole or absent, and the errors of a volume without room."""

import os
import tempfile
from pathlib import Path

_FULL = ("no space left", "disk is full", "disk full", "disk quota")


def write_text(path: Path, text: str) -> None:
    """Writes a file under another name, renames it into place, and makes its folder if need be.

    A reader sees the old content or the new one, never a part, also after a crash.

    Raises:
        OSError: the volume is full (see `is_no_room`) or the folder cannot be written; no partial
            file is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            # Without it, a crash of the machine could leave the new name with no content.
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def is_full(message: str) -> bool:
    """Whether an error's message means that a volume is full or its quota used up."""
    return any(words in message.lower() for words in _FULL)


def is_no_room(error: BaseException) -> bool:
    """Whether an error, or one that caused it, is that of a full volume or a used-up quota.

    Libraries wrap the system's error in their own, often without its number: only the words of the
    message are left to recognise it by.
    """
    cause: BaseException | None = error
    while cause is not None:
        if is_full(str(cause)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
