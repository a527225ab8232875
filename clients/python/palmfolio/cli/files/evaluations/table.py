"""Evaluations to select from: the values of every policy on every trait."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from palmfolio.cli.files.evaluations.rows import EvaluationRow, Evaluations, Values, read_rows
from palmfolio.cli.files.evaluations.scale import TraitScale, scale_of
from palmfolio.cli.files.evaluations.settings import Missing, Scale, Settings
from palmfolio.errors import ConfigurationError
from palmfolio.files.formats.row import Fault

Rewards = tuple[float, ...]
_Asked = dict[str, list[EvaluationRow]]
"""The rows of a policy, by prompt."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a selection does not see, because values are missing or say nothing."""

    policies: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    prompts: int = 0

    def notes(self) -> list[str]:
        """What is left out and why, in words."""
        notes = []
        if self.policies:
            notes.append(f"policies with missing values are left out: {', '.join(self.policies)}")
        if self.traits:
            notes.append(
                "traits with missing values, or with equal values of all policies, are left out: "
                f"{', '.join(self.traits)}"
            )
        if self.prompts:
            notes.append(
                f"{self.prompts} prompts are left out, on which not every policy has all values"
            )
        return notes


@dataclass(frozen=True, slots=True)
class Table:
    """Evaluations of n policies on d traits.

    Attributes:
        policies: n names, in the order of their first rows.
        traits: d names, in the order of the columns.
        values: n rows of d values in [0, 1].
        rewards: by policy, then prompt: d rewards in [0, 1], the same N prompts for every policy.
            None when the file holds values only.
        scale: how the values were scaled.
        scales: by trait, the values of the file that became 0 and 1; empty if nothing was scaled.
        left_out: what the files hold in addition.
        clusters: the cluster of each of the N prompts; None where no prompt has one.
    """

    policies: tuple[str, ...]
    traits: tuple[str, ...]
    values: tuple[Rewards, ...]
    rewards: tuple[tuple[Rewards, ...], ...] | None = None
    scale: Scale = Scale.NONE
    scales: Mapping[str, TraitScale] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)
    clusters: tuple[str, ...] | None = None


def read_table(paths: Sequence[Path], settings: Settings) -> Table:
    """Reads evaluations to select from.

    The columns are those of the policies, optionally `prompt` and `sample`, and the traits; the
    output of `palmfolio score` is read as well. With a column of prompts policies are compared on
    the prompts that all have. Several responses to one prompt are numbered in a `sample` column,
    and averaged. A `cluster` column names prompts that were drawn together.

    Raises:
        ConfigurationError: the files cannot be read or used; the message names rows and columns.
    """
    found = read_rows(paths, settings)
    if found.by_prompt:
        kept, left_out = _by_prompt(found, settings.missing or Missing.PROMPTS)
    else:
        kept, left_out = _by_policy(found, settings.missing or Missing.REFUSE)
    found.faults.check()
    return _table(found, kept, left_out, settings)


def _by_policy(found: Evaluations, missing: Missing) -> tuple[dict[str, _Asked], LeftOut]:
    rows: dict[str, EvaluationRow] = {}
    for item in found.rows:
        if item.policy in rows:
            found.faults.add(
                Fault(
                    item.place,
                    f": policy {item.policy} is there twice; keep one row, or add a column "
                    "`prompt` when rows are per prompt",
                )
            )
        rows.setdefault(item.policy, item)
    if missing is Missing.PROMPTS:
        found.faults.add(Fault("", "has no column `prompt`, which --missing prompts needs"))
    found.faults.check()
    kept = {policy: {"": [item]} for policy, item in rows.items()}
    return _without_blanks(found, kept, missing, 0)


def _by_prompt(found: Evaluations, missing: Missing) -> tuple[dict[str, _Asked], LeftOut]:
    asked: dict[str, _Asked] = {}
    seen = set()
    for item in found.rows:
        prompt = item.prompt or ""
        if (item.policy, prompt, item.sample) in seen:
            found.faults.add(
                Fault(
                    item.place,
                    f": policy {item.policy} has prompt {_quoted(prompt)} twice; keep one row, or "
                    "number several responses in a column `sample`",
                )
            )
        seen.add((item.policy, prompt, item.sample))
        asked.setdefault(item.policy, {}).setdefault(prompt, []).append(item)
    prompts = list(dict.fromkeys(prompt for rows in asked.values() for prompt in rows))
    if missing in (Missing.REFUSE, Missing.TRAITS):
        _check_paired(found, asked, prompts)
    found.faults.check()
    dropped = 0
    if missing is Missing.PROMPTS:
        common = [prompt for prompt in prompts if _is_complete(asked, prompt)]
        dropped, prompts = len(prompts) - len(common), common
        if not prompts:
            found.faults.add(
                Fault("", "has no prompt on which every policy has a value on every trait")
            )
            found.faults.check()
    elif missing is Missing.POLICIES:
        asked = {policy: rows for policy, rows in asked.items() if all(p in rows for p in prompts)}
    kept = {p: {prompt: rows[prompt] for prompt in prompts} for p, rows in asked.items()}
    return _without_blanks(found, kept, missing, dropped)


def _is_complete(asked: Mapping[str, _Asked], prompt: str) -> bool:
    return all(
        prompt in rows and not any(None in item.values for item in rows[prompt])
        for rows in asked.values()
    )


def _check_paired(found: Evaluations, asked: Mapping[str, _Asked], prompts: list[str]) -> None:
    for policy, rows in asked.items():
        absent = [prompt for prompt in prompts if prompt not in rows]
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            found.faults.add(
                Fault(
                    "",
                    f"is incomplete: policy {policy} has no row for prompt {_quoted(absent[0])}"
                    f"{more}, which other policies have; policies are compared on the same "
                    "prompts: add the rows, or leave prompts or policies out with --missing",
                )
            )


def _without_blanks(
    found: Evaluations, asked: dict[str, _Asked], missing: Missing, prompts: int
) -> tuple[dict[str, _Asked], LeftOut]:
    """Leaves out what has blanks, by the rule; at most one kind of thing is left out."""
    everyone = list(dict.fromkeys(item.policy for item in found.rows))
    if missing is Missing.POLICIES:
        asked = {policy: rows for policy, rows in asked.items() if not _blank_in(rows)}
        if not asked:
            raise ConfigurationError(f"{found.name}: every policy has missing values")
    gone = tuple(policy for policy in everyone if policy not in asked)
    blank = {at for rows in asked.values() for at in _blank_in(rows)}
    traits = tuple(name for at, name in enumerate(found.traits) if at in blank)
    if len(traits) == len(found.traits):
        raise ConfigurationError(f"{found.name}: every trait has missing values")
    return asked, LeftOut(gone, traits, prompts)


def _blank_in(rows: _Asked) -> set[int]:
    return {
        at
        for items in rows.values()
        for item in items
        for at, value in enumerate(item.values)
        if value is None
    }


def _table(
    found: Evaluations, kept: Mapping[str, _Asked], left_out: LeftOut, settings: Settings
) -> Table:
    positions = [at for at, name in enumerate(found.traits) if name not in left_out.traits]
    columns = [
        [
            known
            for rows in kept.values()
            for items in rows.values()
            for item in items
            if (known := item.values[at]) is not None
        ]
        for at in positions
    ]
    lower = [found.traits[at] in settings.lower_is_better for at in positions]
    try:
        scales = scale_of(columns, lower, settings.scale)
    except OverflowError as error:
        trait = found.traits[positions[error.args[0]]]
        raise ConfigurationError(
            f"{found.name}: the values of {trait} are too far apart to be scaled"
        ) from None
    used = [(at, scale) for at, scale in zip(positions, scales, strict=True) if scale is not None]
    equal = tuple(
        found.traits[at] for at, scale in zip(positions, scales, strict=True) if scale is None
    )
    if not used:
        raise ConfigurationError(
            f"{found.name}: all policies have equal values on every trait; any one of them will do"
        )
    rewards = tuple(
        tuple(_mean([_scaled(item.values, used) for item in items]) for items in rows.values())
        for rows in kept.values()
    )
    traits = tuple(found.traits[at] for at, _ in used)
    shown = settings.scale is not Scale.NONE or bool(settings.lower_is_better)
    return Table(
        tuple(kept),
        traits,
        tuple(_mean(item) for item in rewards),
        rewards if found.by_prompt else None,
        settings.scale,
        dict(zip(traits, (scale for _, scale in used), strict=True)) if shown else {},
        LeftOut(left_out.policies, left_out.traits + equal, left_out.prompts),
        _clusters(next(iter(kept.values()))),
    )


def _clusters(asked: _Asked) -> tuple[str, ...] | None:
    """The cluster of each prompt; a prompt without one is its own."""
    named = {prompt: items[0].cluster for prompt, items in asked.items()}
    if not any(named.values()):
        return None
    return tuple(
        f"cluster={name}" if name else f"prompt={prompt}" for prompt, name in named.items()
    )


def _scaled(values: Values, used: Sequence[tuple[int, TraitScale]]) -> Rewards:
    return tuple(scale.apply(values[at] or 0.0) for at, scale in used)


def _mean(rows: Sequence[Rewards]) -> Rewards:
    # Rounding must not carry a mean of values in [0, 1] over 1.
    return tuple(min(1.0, math.fsum(column) / len(rows)) for column in zip(*rows, strict=True))


def _quoted(prompt: str) -> str:
    text = " ".join(prompt.split("\0")[0].split())
    return repr(text if len(text) <= 60 else text[:59] + "…")
