"""Files that are whole or absent, and errors of full volumes."""

import errno
import os
from pathlib import Path

import pytest

from palmfolio_runtime.volumes import is_no_room, write_text


def test_a_file_is_replaced_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    for text in ("one", "two é"):
        write_text(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(path, "new")
    assert is_no_room(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_cause_of_an_error_counts() -> None:
    try:
        try:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        except OSError as cause:
            raise RuntimeError("the library failed") from cause
    except RuntimeError as error:
        assert is_no_room(error)
    assert not is_no_room(RuntimeError("the library failed"))
