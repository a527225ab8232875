"""Volumes that fill up."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEBIBYTE = 2**20


@contextmanager
def small_volume(mebibytes: int) -> Iterator[Path]:
    """The folder of a volume of its own with little room; skips the test without root."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small volume takes root")
    with tempfile.TemporaryDirectory(prefix="palmfolio-") as mount:
        options = f"size={mebibytes}m,mode=755"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", mount], check=True)
        try:
            yield Path(mount)
        finally:
            subprocess.run(["umount", "--lazy", mount], check=True)


def fill(path: Path, leave: int = 0) -> None:
    """Takes the room that is left on the file's volume, but for some bytes."""
    room = os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_frsize
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room - leave)
