"""Parquet files; needs pyarrow."""

from collections.abc import Iterator
from typing import IO

from palmfolio.errors import ConfigurationError
from palmfolio.files.formats.row import Fault, Row

_ROWS_PER_BATCH = 1024


def read_parquet(file: IO[bytes]) -> Iterator[Row | Fault]:
    """The rows of a Parquet file.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigurationError(
            f"reading Parquet needs pyarrow, which cannot be used here ({error}). "
            "Install it with `pip install 'palmfolio[parquet]'`"
        ) from error
    number = 0
    try:
        content = pyarrow.py_buffer(file.read())
        table = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
        for batch in table.iter_batches(_ROWS_PER_BATCH):
            for values in batch.to_pylist():
                number += 1
                yield Row(f"row {number}", number, values)
    except UnicodeDecodeError as error:
        yield Fault(f"row {number + 1} or later", f": not UTF-8: {error.reason}")
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        yield Fault("", f"is not a Parquet file that can be read: {' '.join(str(error).split())}")
