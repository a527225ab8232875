"""Evaluations to store in the selector."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from palmfolio.cli.files.evaluations.rows import EvaluationRow, read_rows
from palmfolio.cli.files.evaluations.settings import Missing, Settings
from palmfolio.files.fields import Fields, Problem
from palmfolio.files.formats.row import Fault
from palmfolio.files.prompts import prompt_of
from palmfolio.types import ImportedEvaluation, Prompt

_MAX_SAMPLE = 1023


def read_evaluations(
    paths: Sequence[Path], settings: Settings
) -> tuple[tuple[str, ...], list[ImportedEvaluation]]:
    """Reads evaluations to store: the traits, and one evaluation per row.

    The columns are those of `read_table`; here policies may have different prompts. Values are
    stored as they are, and none may be missing.

    Raises:
        ConfigurationError: the files cannot be read or used; the message names rows and columns.
    """
    settings = dataclasses.replace(settings, missing=Missing.REFUSE)
    found = read_rows(paths, settings)
    evaluations = []
    for item in found.rows:
        try:
            evaluations.append(_evaluation(item))
        except Problem as problem:
            found.faults.add(Fault(item.place, str(problem)))
    found.faults.check()
    return found.traits, evaluations


def _evaluation(item: EvaluationRow) -> ImportedEvaluation:
    rewards = tuple(value for value in item.values if value is not None)
    prompt = _prompt(item) if item.prompt else None
    return ImportedEvaluation(item.policy, rewards, prompt, _sample(item.sample))


def _prompt(item: EvaluationRow) -> str | Prompt:
    tags = [f"cluster={item.cluster}"] if item.cluster else []
    values = {"prompt": item.asked, "reference": item.reference, "tags": tags}
    prompt = prompt_of(values, Fields({}, ()))
    is_text = prompt.text is not None and prompt.reference is None and not prompt.tags
    return prompt.text if is_text and prompt.text is not None else prompt


def _sample(text: str) -> int:
    number = text.strip() or "0"
    known = number.isascii() and number.isdigit() and len(number) <= len(str(_MAX_SAMPLE))
    if not known or int(number) > _MAX_SAMPLE:
        raise Problem(
            f": column sample is {number!r}; number the responses to a prompt from 0 to "
            f"{_MAX_SAMPLE:,}"
        )
    return int(number)
