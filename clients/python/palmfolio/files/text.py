"""Whole text files."""

from pathlib import Path

from palmfolio.errors import ConfigurationError


def read_text(path: Path) -> str:
    """The content of a UTF-8 file, without a byte order mark.

    Raises:
        ConfigurationError: the file cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text: {error}") from error
