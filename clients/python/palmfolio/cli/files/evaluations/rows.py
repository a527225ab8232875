"""Rows of evaluations, checked: whose they are, of which prompt, and their values."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palmfolio.cli.files.evaluations.cells import is_blank, value_of
from palmfolio.cli.files.evaluations.columns import Survey, common_traits, flattened
from palmfolio.cli.files.evaluations.settings import FIELDS, Missing, Scale, Settings
from palmfolio.errors import ConfigurationError
from palmfolio.files.faults import Faults
from palmfolio.files.fields import Fields
from palmfolio.files.formats.row import Fault, Row
from palmfolio.files.sources import Source, open_source

Values = tuple[float | None, ...]
"""One value per trait; None where it is missing."""


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One row of a file of evaluations.

    Attributes:
        place: where it stands, for people.
        policy: whose values they are.
        values: one per trait.
        prompt: on which prompt, as a key; None where the file has no prompts.
        sample: which of several responses, as the file says it.
        asked: the prompt as the file has it.
        reference: the prompt's reference, as the file has it.
        cluster: the name of the prompts that were drawn together with it; empty without one.
    """

    place: str
    policy: str
    values: Values
    prompt: str | None = None
    sample: str = ""
    asked: Any = None
    reference: Any = None
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Evaluations:
    """All rows of one or several files.

    Attributes:
        name: what messages call the files.
        traits: the d names of the columns of values.
        rows: in the order of the files.
        by_prompt: whether rows are per policy and prompt.
        faults: where to add faults that show only when rows are put together.
    """

    name: str
    traits: tuple[str, ...]
    rows: tuple[EvaluationRow, ...]
    by_prompt: bool
    faults: Faults


def read_rows(paths: Sequence[Path], settings: Settings) -> Evaluations:
    """Reads files of evaluations.

    Of several files, one without a column of policies holds the values of one policy, which is
    named like the file.

    Raises:
        ConfigurationError: files cannot be read or used; everything that is wrong is named.
    """
    Fields(settings.fields, FIELDS)
    sources = [open_source(path, settings.format) for path in paths]
    name = sources[0].name if len(sources) == 1 else f"{sources[0].name} …"
    faults = Faults(name)
    surveys = []
    for source in sources:
        survey, found = _surveyed(source, settings, len(sources) > 1)
        surveys.append(survey)
        for fault in found:
            faults.add(_named(fault, source, len(sources)))
    if not (faults or any(survey.rows for survey in surveys)):
        raise ConfigurationError(f"{name} holds no evaluations; write one row per policy")
    traits = common_traits(survey.traits for survey in surveys)
    by_prompt = any(survey.has("prompt") for survey in surveys)
    for trait in settings.lower_is_better:
        if trait not in traits:
            known = ", ".join(traits)
            faults.add(Fault("", f"has no trait {trait}, named in --lower-is-better; {known}"))
    faults.check()
    rows: list[EvaluationRow] = []
    for path, source in zip(paths, sources, strict=True):
        reader = _Reader(settings, traits, by_prompt, _stem(path))
        for item in reader.rows(source):
            if isinstance(item, Fault):
                faults.add(_named(item, source, len(sources)))
            else:
                rows.append(item)
    for fault in _in_two_clusters(rows):
        faults.add(fault)
    return Evaluations(name, traits, tuple(rows), by_prompt, faults)


def _in_two_clusters(rows: Sequence[EvaluationRow]) -> Iterator[Fault]:
    named: dict[str, str] = {}
    for item in rows:
        known = named.setdefault(item.prompt or "", item.cluster)
        if known != item.cluster:
            yield Fault(
                item.place,
                f": the prompt is in cluster {item.cluster!r} here and in {known!r} in an earlier "
                "row; name one cluster for each prompt",
            )


def _named(fault: Fault, source: Source, files: int) -> Fault:
    if files == 1:
        return fault
    place = f"{source.name}, {fault.place}" if fault.place else f"{source.name} "
    return Fault(place, fault.problem)


def _surveyed(source: Source, settings: Settings, own_policy: bool) -> tuple[Survey, list[Fault]]:
    survey = Survey(settings, own_policy)
    faults = []
    for row in source.rows():
        if isinstance(row, Fault):
            faults.append(row)
        else:
            survey.add(row.values)
    if survey.rows:
        faults += survey.faults()
    return survey, faults


class _Reader:
    def __init__(
        self, settings: Settings, traits: tuple[str, ...], by_prompt: bool, own_policy: str
    ) -> None:
        self._settings = settings
        self._traits = traits
        self._by_prompt = by_prompt
        self._own_policy = own_policy
        default = Missing.PROMPTS if by_prompt else Missing.REFUSE
        self._refuses = (settings.missing or default) is Missing.REFUSE

    def rows(self, source: Source) -> Iterator[EvaluationRow | Fault]:
        for row in source.rows():
            if isinstance(row, Row):
                yield from self._row(row)

    def _row(self, row: Row) -> Iterator[EvaluationRow | Fault]:
        values = flattened(row.values, self._settings)
        column = self._settings.column("policy")
        policy = str(values.get(column, self._own_policy) or "").strip()
        if not policy:
            yield Fault(row.place, f": column {column} is empty; name the policy")
            return
        found: list[float | None] = []
        for trait in self._traits:
            value = self._value(row.place, policy, trait, values.get(trait))
            if isinstance(value, Fault):
                yield value
                value = None
            found.append(value)
        if not self._by_prompt:
            yield EvaluationRow(row.place, policy, tuple(found))
            return
        asked, reference, sample, cluster = (
            values.get(self._settings.column(name))
            for name in ("prompt", "reference", "sample", "cluster")
        )
        prompt = _key(asked) + (f"\0{reference}" if reference else "")
        yield EvaluationRow(
            row.place,
            policy,
            tuple(found),
            prompt,
            _key(sample),
            asked,
            reference,
            _key(cluster).strip(),
        )

    def _value(self, place: str, policy: str, trait: str, cell: Any) -> float | Fault | None:
        where = f"{place} (policy {policy}), column {trait}"
        if is_blank(cell):
            if not self._refuses:
                return None
            text = str("" if cell is None else cell).strip() or "empty"
            return Fault(
                where,
                f" is {text}; give every policy a value on every trait, or leave out what has none "
                "with --missing policies or --missing traits",
            )
        try:
            value = value_of(cell)
        except ValueError as error:
            return Fault(where, f" {error}; give every policy a value in [0, 1] on every trait")
        if not math.isfinite(value):
            return Fault(where, f" is {str(cell).strip()}; measure it, or leave the policy out")
        if self._settings.scale is Scale.NONE and not 0.0 <= value <= 1.0:
            return Fault(
                where,
                f" is {value:g}, outside [0, 1]; normalise the trait, for example by "
                "(x - min) / (max - min) with one min and max for all policies: --scale minmax",
            )
        return value


def _stem(path: Path) -> str:
    """The name of a file without the endings that say its format."""
    name = path.name.removesuffix(".gz")
    return Path(name).stem


def _key(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
