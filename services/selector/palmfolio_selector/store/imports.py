"""Evaluations that were made elsewhere, on their way into the tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2
from palmfolio_runtime.errors import already_exists
from palmfolio_runtime.prompts import Prompt
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.domain.spec import source_settings
from palmfolio_selector.store import evaluations, prompt_sets, values
from palmfolio_selector.store.inserts import ensure_keys, insert_missing
from palmfolio_selector.store.prompt_sets import ensure_prompts
from palmfolio_selector.store.tables import EvaluationRow, PolicyRow, PromptSetRow

_NO_REWARD = "was imported without a reward"
# Rows in one statement that looks rows up by three columns: three variables each.
_CHUNK = 300


@dataclass(frozen=True)
class ImportedRow:
    """The rewards of one response, in the order of the traits: each in [0, 1], or NaN for none."""

    policy: str
    prompt: Prompt
    sample: int
    rewards: tuple[float, ...]


def add(
    session: Session, source: str, versions: Mapping[str, str], rows: Sequence[ImportedRow]
) -> None:
    """Stores rows; a row that is there already must be equal.

    Args:
        source: the name of the source of the rows.
        versions: version by trait, in the order of the rewards.

    Raises:
        ServiceError: ALREADY_EXISTS when a row is stored with another reward.
    """
    sampling = evaluations.ensure_sampling(session, source_settings(source))
    traits = evaluations.ensure_traits(session, versions)
    policies = ensure_keys(
        session,
        PolicyRow,
        PolicyRow.name,
        PolicyRow.key,
        {name: _policy(name) for name in sorted({row.policy for row in rows})},
    )
    prompts = ensure_prompts(session, [row.prompt for row in rows])
    for start in range(0, len(rows), _CHUNK):
        chunk = {
            (policies[row.policy], prompts[row.prompt.digest], row.sample): row
            for row in rows[start : start + _CHUNK]
        }
        insert_missing(
            session,
            EvaluationRow,
            [
                {
                    "policy": policy,
                    "sampling": sampling,
                    "prompt": prompt,
                    "sample": sample,
                    "trait": trait,
                    "raw": None if math.isnan(reward) else reward,
                    "normalised": None if math.isnan(reward) else reward,
                    "failure": _NO_REWARD if math.isnan(reward) else "",
                }
                for (policy, prompt, sample), row in chunk.items()
                for trait, reward in zip(traits.values(), row.rewards, strict=True)
            ],
        )
        # Only after the insert: it kept the rows that were there, which may differ.
        _check_equal(session, sampling, traits, chunk)


def finish(
    session: Session, source: str, versions: Mapping[str, str], prompts: Sequence[Prompt]
) -> PromptSetRow:
    """Stores the set of the imported prompts, and the means over it, for later reads."""
    row = prompt_sets.add(session, prompts, source)
    sampling = evaluations.ensure_sampling(session, source_settings(source))
    measurement = Measurement(
        prompt_set=row.id,
        prompts=prompt_sets.distinct_size(session, row.id),
        sampling=sampling,
        samples=evaluations.most_samples(session, row.id, sampling),
        traits=evaluations.ensure_traits(session, versions),
    )
    values.materialise(session, measurement)
    return row


def _policy(name: str) -> dict[str, Any]:
    """The columns of a policy of which only the name is known."""
    return {
        "name": name,
        "base_model": "",
        "is_base_model": False,
        "weights": None,
        "adapter": "",
    }


def _check_equal(
    session: Session,
    sampling: int,
    traits: dict[str, int],
    rows: dict[tuple[int, int, int], ImportedRow],
) -> None:
    column = {key: index for index, key in enumerate(traits.values())}
    names = {key: name for name, key in traits.items()}
    position = tuple_(EvaluationRow.policy, EvaluationRow.prompt, EvaluationRow.sample)
    query = select(
        EvaluationRow.policy,
        EvaluationRow.prompt,
        EvaluationRow.sample,
        EvaluationRow.trait,
        EvaluationRow.normalised,
    ).where(
        position.in_(list(rows)),
        EvaluationRow.sampling == sampling,
        EvaluationRow.trait.in_(traits.values()),
    )
    for policy, prompt, sample, trait, stored in session.execute(query):
        row = rows[policy, prompt, sample]
        sent = row.rewards[column[trait]]
        if stored != (None if math.isnan(sent) else sent):
            raise already_exists(
                row.policy,
                f"{row.policy} has reward {stored} on {names[trait]} for sample {row.sample} of "
                f"prompt {row.prompt.plain_text[:60]!r}, not {row.rewards[column[trait]]}: import "
                "other rewards under another source or trait version",
                errors_pb2.ERROR_REASON_RESOURCE_EXISTS,
            )
