"""Which column of a file holds what."""

from collections.abc import Mapping, Sequence
from typing import Any

from palmfolio.errors import ConfigurationError

_SHOWN_COLUMNS = 8


class Problem(ValueError):
    """What is wrong with a row, as the sentence goes on after its place."""


class Fields:
    """Finds the fields of rows in their columns.

    Args:
        given: column by field, for columns with another name than the field. A dot leads into an
            object: `answers.text`.
        known: the fields that there are.

    Raises:
        ConfigurationError: a field is unknown.
    """

    def __init__(self, given: Mapping[str, str], known: Sequence[str]) -> None:
        self._given = given
        for name in given:
            if name not in known:
                raise ConfigurationError(
                    f"the field {name!r} is unknown; known: {', '.join(known)}"
                )

    def column(self, name: str) -> str:
        """The column that a field is looked for in."""
        return self._given.get(name, name)

    def is_given(self, name: str) -> bool:
        """Whether the caller named a column for the field."""
        return name in self._given

    def find(self, values: Mapping[str, Any], name: str) -> Any:
        """The value of a field; None where the row has none.

        Raises:
            Problem: the caller named a column that is not there.
        """
        column = self._given.get(name)
        if column is None or column in values:
            return values.get(column or name)
        value: Any = values
        for part in column.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise Problem(f": there is no column {column}; {listed(values)}")
            value = value[part]
        return value


def listed(values: Mapping[str, Any]) -> str:
    """The columns of a row in words, bounded."""
    names = list(values)
    more = len(names) - _SHOWN_COLUMNS
    shown = ", ".join(names[:_SHOWN_COLUMNS]) + (f" and {more} more" if more > 0 else "")
    return f"columns: {shown or 'none'}"


def name_column(field: str) -> str:
    """What to do where a field is not found."""
    return f"Say which column it is: `--field {field}=COLUMN` on the command line"
