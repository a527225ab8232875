"""Tables as text: CSV and TSV. The first row names the columns."""

import csv
import io
from collections.abc import Iterator
from typing import IO

from palmfolio.files.formats.row import Fault, Row, undecodable

# The default of Python's reader, 131,072 characters, is less than a long response.
_MAX_CELL = 2**27
_NAMES = {",": "CSV", "\t": "TSV"}


def read_csv(file: IO[bytes]) -> Iterator[Row | Fault]:
    """The rows of a table whose columns are separated by commas."""
    return _read(file, ",")


def read_tsv(file: IO[bytes]) -> Iterator[Row | Fault]:
    """The rows of a table whose columns are separated by tabs."""
    return _read(file, "\t")


def _read(file: IO[bytes], delimiter: str) -> Iterator[Row | Fault]:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text, strict=True, delimiter=delimiter)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        faults = list(_header_faults(header))
        yield from faults
        if not faults:
            # Rows are counted as a spreadsheet shows them: the header is row 1.
            for number, cells in enumerate(reader, 2):
                if any(cell.strip() for cell in cells):
                    yield _row(number, header, cells)
    except csv.Error as error:
        yield Fault(
            f"line {reader.line_num}",
            f": not {_NAMES[delimiter]}: {error}; a field with separators, quotes or line breaks "
            'must stand in double quotes, with "" for a quote inside',
        )


def _header_faults(header: list[str]) -> Iterator[Fault]:
    if not any(header):
        yield Fault(
            "", "is empty or starts with an empty line; its first line must name the columns"
        )
    if len(header) == 1 and ";" in header[0]:
        yield Fault(
            "",
            "separates its columns with semicolons; save it with commas between the columns, and "
            "points in numbers",
        )
    for position, name in enumerate(header):
        if undecodable(name) is not None:
            yield Fault("row 1", f": the name of column {position + 1} is not UTF-8")
        # Several programs write row numbers in a column without a name.
        elif name and name in header[:position]:
            yield Fault(f"column {name}", " is there twice; keep one of them")


def _row(number: int, header: list[str], cells: list[str]) -> Row | Fault:
    place = f"row {number}"
    if len(cells) != len(header):
        return Fault(
            place,
            f" has {len(cells)} fields, but there are {len(header)} columns; give every row one "
            "field per column",
        )
    bad = [name for name, cell in zip(header, cells, strict=True) if undecodable(cell) is not None]
    if bad:
        return Fault(place, f": not UTF-8 in column {bad[0]}")
    return Row(place, number, dict(zip(header, cells, strict=True)))
