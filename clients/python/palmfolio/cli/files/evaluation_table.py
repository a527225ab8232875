"""Evaluations in a CSV file: one row per policy, or one per policy and prompt."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from palmfolio.errors import ConfigurationError
from palmfolio.types import ImportedEvaluation

_POLICY, _PROMPT, _SAMPLE = "policy", "prompt", "sample"
_MAX_SAMPLE = 1023

Values = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Evaluations of n policies on d traits.

    Attributes:
        policies: n names, in the order of their first rows.
        traits: d names, in the order of the columns.
        values: n rows of d values in [0, 1].
        rewards: by policy, then prompt: d rewards in [0, 1], the same N prompts for every policy.
            None when the file holds values only.
    """

    policies: tuple[str, ...]
    traits: tuple[str, ...]
    values: tuple[Values, ...]
    rewards: tuple[tuple[Values, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    policy: str
    prompt: str
    sample: str
    values: Values


def read_table(path: Path) -> Table:
    """Reads evaluations to select from.

    The columns are `policy`, optionally `prompt` and `sample`, and the traits. With a `prompt`
    column every policy needs the same prompts. Several responses to one prompt are numbered in a
    `sample` column, and averaged.

    Raises:
        ConfigurationError: the file cannot be read or used; the message names the row and column.
    """
    header, rows = _read(path)
    traits = _traits(header)
    return _by_prompt(path, traits, rows) if _PROMPT in header else _by_policy(traits, rows)


def read_evaluations(path: Path) -> tuple[tuple[str, ...], list[ImportedEvaluation]]:
    """Reads evaluations to store: the traits, and one evaluation per row.

    The columns are those of `read_table`; here policies may have different prompts.

    Raises:
        ConfigurationError: the file cannot be read or used; the message names the row and column.
    """
    header, rows = _read(path)
    policies = [
        ImportedEvaluation(row.policy, row.values, row.prompt or None, _sample(row)) for row in rows
    ]
    return _traits(header), policies


def _sample(row: _Row) -> int:
    text = row.sample.strip() or "0"
    if not (text.isascii() and text.isdigit() and int(text) <= _MAX_SAMPLE):
        raise ConfigurationError(
            f"{row.where}: column sample is {text!r}; number the responses to a prompt from 0 to "
            f"{_MAX_SAMPLE:,}"
        )
    return int(text)


def _read(path: Path) -> tuple[list[str], list[_Row]]:
    try:
        # Spreadsheet programs write a byte order mark, which `utf-8-sig` skips.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = _header(path, next(reader, []))
            rows = list(_rows(path, header, reader))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text: {error}") from error
    except csv.Error as error:
        raise ConfigurationError(
            f"{path}, line {reader.line_num}: not CSV: {error}; a field with commas, quotes or "
            'line breaks must stand in double quotes, with "" for a quote inside'
        ) from error
    if not rows:
        raise ConfigurationError(f"{path} holds no evaluations; write one row per policy")
    return header, rows


def _traits(header: list[str]) -> tuple[str, ...]:
    return tuple(name for name in header if name not in _keys(header))


def _keys(header: Iterable[str]) -> tuple[str, ...]:
    return (_POLICY, _PROMPT, _SAMPLE) if _PROMPT in header else (_POLICY,)


def _header(path: Path, cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    if not any(header):
        raise ConfigurationError(
            f"{path} is empty or starts with an empty line; its first line must name the columns: "
            "`policy`, then one per trait"
        )
    if _POLICY not in header:
        raise ConfigurationError(
            f"{path} has no column `policy`, only {', '.join(header)}; add it, and separate "
            "columns with commas"
        )
    for position, name in enumerate(header):
        if not name:
            raise ConfigurationError(f"{path}: column {position + 1} has no name; name its trait")
        if name in header[:position]:
            raise ConfigurationError(f"{path}: column {name} is there twice; keep one of them")
    if len(header) == len(set(header) & set(_keys(header))):
        raise ConfigurationError(f"{path} has no trait; add a column with values for each trait")
    return header


def _rows(path: Path, header: list[str], reader: Iterator[list[str]]) -> Iterator[_Row]:
    traits = _traits(header)
    # Rows are counted as a spreadsheet shows them: the header is row 1.
    for number, cells in enumerate(reader, 2):
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{path}, row {number}"
        if len(cells) != len(header):
            raise ConfigurationError(
                f"{where} has {len(cells)} fields, but there are {len(header)} columns; give "
                "every row one field per column"
            )
        entry = dict(zip(header, cells, strict=True))
        policy = entry[_POLICY].strip()
        if not policy:
            raise ConfigurationError(f"{where}: column policy is empty; name the policy")
        yield _Row(
            where=where,
            policy=policy,
            prompt=entry.get(_PROMPT, ""),
            sample=entry.get(_SAMPLE, "") if _PROMPT in header else "",
            values=tuple(_value(entry[name], where, policy, name) for name in traits),
        )


def _value(text: str, where: str, policy: str, trait: str) -> float:
    place = f"{where} (policy {policy}), column {trait}"
    try:
        value = float(text)
    except ValueError:
        problem = f"is {text.strip()!r}, not a number" if text.strip() else "is empty"
        raise ConfigurationError(
            f"{place} {problem}; give every policy a value in [0, 1] on every trait"
        ) from None
    if not math.isfinite(value):
        raise ConfigurationError(f"{place} is {text.strip()}; measure it, or leave the policy out")
    if not 0.0 <= value <= 1.0:
        raise ConfigurationError(
            f"{place} is {value:g}, outside [0, 1]; normalise the trait, for example by "
            "(x - min) / (max - min) with one min and max for all policies"
        )
    return value


def _by_policy(traits: tuple[str, ...], rows: list[_Row]) -> Table:
    values: dict[str, Values] = {}
    for row in rows:
        if row.policy in values:
            raise ConfigurationError(
                f"{row.where}: policy {row.policy} is there twice; keep one row, or add a column "
                "`prompt` when rows are per prompt"
            )
        values[row.policy] = row.values
    return Table(tuple(values), traits, tuple(values.values()))


def _by_prompt(path: Path, traits: tuple[str, ...], rows: list[_Row]) -> Table:
    samples: dict[str, dict[str, dict[str, Values]]] = {}
    for row in rows:
        by_sample = samples.setdefault(row.policy, {}).setdefault(row.prompt, {})
        if row.sample in by_sample:
            raise ConfigurationError(
                f"{row.where}: policy {row.policy} has prompt {_quoted(row.prompt)} twice; keep "
                "one row, or number several responses in a column `sample`"
            )
        by_sample[row.sample] = row.values
    prompts = tuple(dict.fromkeys(row.prompt for row in rows))
    _check_paired(path, samples, prompts)
    rewards = tuple(
        tuple(_mean(tuple(asked[prompt].values())) for prompt in prompts)
        for asked in samples.values()
    )
    return Table(tuple(samples), traits, tuple(_mean(item) for item in rewards), rewards)


def _check_paired(
    path: Path, samples: Mapping[str, Mapping[str, object]], prompts: tuple[str, ...]
) -> None:
    for policy, asked in samples.items():
        missing = [prompt for prompt in prompts if prompt not in asked]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ConfigurationError(
                f"{path}: policy {policy} has no row for prompt {_quoted(missing[0])}{more}, which "
                "other policies have; policies are compared on the same prompts: add the rows, or "
                "leave the prompt or the policy out"
            )


def _mean(rows: tuple[Values, ...]) -> Values:
    # Rounding must not carry a mean of values in [0, 1] over 1.
    return tuple(min(1.0, math.fsum(column) / len(rows)) for column in zip(*rows, strict=True))


def _quoted(prompt: str) -> str:
    text = " ".join(prompt.split())
    return repr(text if len(text) <= 60 else text[:59] + "…")
