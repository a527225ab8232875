"""Whole text files, and YAML."""

from pathlib import Path
from typing import Any

import yaml

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


def read_yaml(path: Path) -> Any:
    """The content of a YAML file as plain data.

    Raises:
        ConfigurationError: the file cannot be read, or is not YAML.
    """
    text = read_text(path)
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise ConfigurationError(f"{path} is not YAML: it is nested too deeply") from None
    # The library lets errors of Python through: from a date of month 13, a tag without a value, a
    # number of thousands of digits.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise ConfigurationError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
