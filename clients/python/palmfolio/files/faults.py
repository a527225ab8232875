"""All faults of a file in one report."""

from collections.abc import Iterable, Iterator

from palmfolio.errors import ConfigurationError
from palmfolio.files.formats.row import Fault

_SHOWN = 20
_SHOWN_PLACES = 3


class Faults:
    """Collects what is wrong with a file, bounded.

    Faults that are the same in many places are one entry of the report.

    Args:
        name: what messages call the file.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._places: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}
        self._kinds = 0
        self._hidden = 0

    def __bool__(self) -> bool:
        return bool(self._places)

    def add(self, fault: Fault) -> None:
        """Notes a fault."""
        places = self._places.get(fault.problem)
        if places is None:
            if len(self._places) == _SHOWN:
                self._hidden += 1
                return
            places = self._places[fault.problem] = []
            self._counts[fault.problem] = 0
        self._counts[fault.problem] += 1
        if len(places) < _SHOWN_PLACES:
            places.append(fault.place)

    def check(self) -> None:
        """Does nothing when there are no faults.

        Raises:
            ConfigurationError: all faults, one in the sentence, several a line each.
        """
        if not self:
            return
        entries = list(self._entries())
        if len(entries) == 1:
            (place, text) = entries[0]
            raise ConfigurationError(f"{self._name}{', ' if place else ' '}{text}")
        count = sum(self._counts.values()) + self._hidden
        more = [f"and {self._hidden} more"] if self._hidden else []
        lines = "\n".join(f"  {line}" for line in [*(text for _, text in entries), *more])
        raise ConfigurationError(f"{self._name} has {count} faults:\n{lines}")

    def _entries(self) -> Iterator[tuple[str, str]]:
        for problem, places in self._places.items():
            more = self._counts[problem] - len(places)
            place = ", ".join(places) + (f" and {more} more" if more else "")
            yield place, f"{place}{problem}"


def check_all(name: str, faults: Iterable[Fault]) -> None:
    """Does nothing when there are no faults.

    Raises:
        ConfigurationError: all faults.
    """
    found = Faults(name)
    for fault in faults:
        found.add(fault)
    found.check()
