"""Which columns of a file are traits, and which only look like traits."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from palmfolio.cli.files.evaluations.cells import is_blank, is_number
from palmfolio.cli.files.evaluations.settings import FIELDS, Settings
from palmfolio.files.formats.row import Fault

# What `palmfolio score` writes, in JSON lines and in Parquet.
_REWARDS, _VERSIONS = "normalised", "versions"
_REWARD_COLUMN, _VERSION_COLUMN = "normalised.", "version."
# Words in the names of columns that say how something was measured, not how good it is.
# fmt: off
_NO_TRAITS = frozenset(
    {
        "average", "avg", "ci", "count", "date", "epoch", "id", "idx", "index", "license",
        "line", "memory", "num", "number", "overall", "parameters", "params", "rank", "ranking",
        "row", "run", "sample", "samples", "sd", "se", "seed", "sem", "size", "std", "stddev",
        "stderr", "stdev", "step", "timestamp", "url", "var", "variance", "votes",
    }
)
# fmt: on
_WORDS = re.compile(r"[a-z]+")


def flattened(values: Mapping[str, Any], settings: Settings) -> Mapping[str, Any]:
    """A row of the output of `palmfolio score` with one column per trait; others as they are."""
    rewards = values.get(_REWARDS)
    if isinstance(rewards, Mapping):
        return {
            **_fields(values, settings),
            **{str(name): value for name, value in rewards.items()},
        }
    if any(name.startswith(_REWARD_COLUMN) for name in values):
        traits = {
            name.removeprefix(_REWARD_COLUMN): value
            for name, value in values.items()
            if name.startswith(_REWARD_COLUMN)
        }
        return {**_fields(values, settings), **traits}
    return values


def _fields(values: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    # The columns of texts and raw rewards are no traits, and an empty field is none.
    columns = (settings.column(name) for name in FIELDS)
    return {name: values[name] for name in columns if values.get(name) not in (None, "")}


def versions(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Traits and the versions that scored them, where the row says so."""
    listed = values.get(_VERSIONS)
    if isinstance(listed, Mapping):
        yield from ((str(trait), str(version)) for trait, version in listed.items() if version)
    for name, value in values.items():
        if name.startswith(_VERSION_COLUMN) and value:
            yield name.removeprefix(_VERSION_COLUMN), str(value)


class Survey:
    """Looks at every row once, to know the columns.

    Args:
        settings: which columns hold what, as far as the caller says.
        own_policy: whether a file without a column of policies is a policy of its own.
    """

    def __init__(self, settings: Settings, own_policy: bool) -> None:
        self._settings = settings
        self._own_policy = own_policy
        self._header: dict[str, None] = {}
        self._numbers: set[str] = set()
        self._texts: set[str] = set()
        self._versions: dict[str, set[str]] = {}
        self._scored = False
        self.rows = 0

    def add(self, values: Mapping[str, Any]) -> None:
        """Looks at a row."""
        self.rows += 1
        for trait, version in versions(values):
            self._scored = True
            self._versions.setdefault(trait, set()).add(version)
        for name, value in flattened(values, self._settings).items():
            self._header[name] = None
            if name not in self._numbers and not is_blank(value):
                (self._numbers if is_number(value) else self._texts).add(name)

    def has(self, field: str) -> bool:
        """Whether the file has the column of a field."""
        return self._settings.column(field) in self._header

    @property
    def traits(self) -> tuple[str, ...]:
        """The columns that are traits, in the order of the file or of the caller."""
        return self._settings.traits or tuple(self._candidates())

    def _candidates(self) -> list[str]:
        keys = {self._settings.column(name) for name in ("policy", "prompt")}
        if self.has("prompt"):
            keys |= {self._settings.column(name) for name in ("sample", "reference", "cluster")}
        return [name for name in self._header if name not in keys]

    def faults(self) -> Iterator[Fault]:
        """What is wrong with the columns."""
        names = ", ".join(name for name in self._header if name)
        policy = self._settings.column("policy")
        if not (self.has("policy") or self._own_policy):
            yield Fault(
                "",
                f"has no column `{policy}`, only {names}; say which one names the policies, with "
                "--policy-column, or give one file for each policy",
            )
            return
        for name in (*self._settings.fields.values(), *self._settings.traits):
            if name not in self._header and name != policy:
                yield Fault("", f"has no column `{name}`, only {names}")
        if not self._settings.traits:
            yield from self._guesses()
        elif twice := {name for name in self.traits if self.traits.count(name) > 1}:
            yield Fault("", f"cannot be read: the trait {', '.join(sorted(twice))} is given twice")
        for trait, found in self._versions.items():
            if len(found) > 1 and trait in self.traits:
                yield Fault(
                    "",
                    f"has rewards of {trait} by {len(found)} versions, which do not compare: "
                    f"{', '.join(sorted(found))}; score all samples again",
                )

    def _guesses(self) -> Iterator[Fault]:
        """Faults where the caller does not say what the traits are, and the file leaves doubt."""
        candidates = self._candidates()
        if "" in candidates:
            position = list(self._header).index("") + 1
            yield Fault(f"column {position}", " has no name; name its trait, or say --traits")
        if not candidates:
            yield Fault("", "has no trait; add a column with values for each trait")
        if self._scored:
            return
        doubtful = [name for name in candidates if name and self._is_doubtful(name)]
        if doubtful:
            rest = [name for name in candidates if name and name not in doubtful]
            yield Fault(
                "",
                f"has columns that do not look like traits: {', '.join(doubtful)}; say which are: "
                f"--traits {','.join(rest) or 'NAME,…'}",
            )

    def _is_doubtful(self, name: str) -> bool:
        if name in self._texts and name not in self._numbers:
            return True
        return not _NO_TRAITS.isdisjoint(_WORDS.findall(name.lower()))


def common_traits(traits: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The traits of several files, in the order in which they first come."""
    return tuple(dict.fromkeys(name for names in traits for name in names))
