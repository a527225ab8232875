"""Data sets of the Hugging Face hub, or in a folder of the same layout; needs datasets."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from palmfolio.errors import ConfigurationError
from palmfolio.files.formats.row import Fault, Row

PREFIX = "hub:"
"""What the name of a data set begins with where a file could stand."""
_FORM = "hub:OWNER/NAME@REVISION#CONFIGURATION/SPLIT"
_NAME = re.compile(
    r"(?P<id>[^@#]+)(?:@(?P<revision>[^@#]+))?(?:#(?:(?P<config>[^#]+)/)?(?P<split>[^/#]+))?"
)


def hub_rows(name: str) -> Iterator[Row | Fault]:
    """The rows of a data set.

    Args:
        name: `hub:OWNER/NAME@REVISION#CONFIGURATION/SPLIT`; `#SPLIT` where there is only one
            configuration, and neither where there is only one split. A folder of this machine in
            place of `OWNER/NAME` has no revision.

    Raises:
        ConfigurationError: the name is not of this form, the data set cannot be loaded, or datasets
            is not installed.
    """
    for number, values in enumerate(_loaded(name), 1):
        yield Row(f"row {number}", number, values)


@functools.lru_cache(maxsize=2)
def _loaded(name: str) -> Any:
    """The data set; a file of samples is read twice, and should be loaded once."""
    found = _NAME.fullmatch(name.removeprefix(PREFIX))
    if found is None:
        raise ConfigurationError(f"{name} is not of the form {_FORM}")
    if not (found["revision"] or Path(found["id"]).is_dir()):
        raise ConfigurationError(
            f"{name} names no revision; a commit or a tag after @ makes sure that the same rows "
            f"are read again: {_FORM}"
        )
    try:
        import datasets  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigurationError(
            f"reading data sets needs datasets, which cannot be used here ({error}). "
            "Install it with `pip install 'palmfolio[hub]'`"
        ) from error
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(
            found["id"], name=found["config"], split=found["split"], revision=found["revision"]
        )
    # The library raises errors of its own, of its downloads and of each format.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigurationError(f"cannot load the data set {name}: {reason}") from error
    if not isinstance(loaded, datasets.DatasetDict):
        return loaded
    if len(loaded) > 1:
        raise ConfigurationError(
            f"{name} has several splits: {', '.join(loaded)}; name one: #SPLIT"
        )
    return next(iter(loaded.values()))
