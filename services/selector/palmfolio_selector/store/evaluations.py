"""Responses and their rewards."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session

from palmfolio_runtime.prompts import Prompt
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.domain.spec import Settings, settings_digest
from palmfolio_selector.store.inserts import ensure_keys, insert_missing
from palmfolio_selector.store.prompt_sets import prompt_of
from palmfolio_selector.store.tables import (
    EvaluationRow,
    PolicyRow,
    PromptRow,
    PromptSetMemberRow,
    ResponseRow,
    SamplingRow,
    TraitRow,
)


@dataclass(frozen=True)
class Reward:
    """One response's reward on one trait; `raw` and `normalised` are None where it failed."""

    prompt: int
    sample: int
    trait: int
    raw: float | None
    normalised: float | None
    failure: str = ""


def find_sampling(session: Session, settings: Settings) -> int | None:
    """The key of sampling settings (without the number of samples) or of a source, or None."""
    query = select(SamplingRow.key).where(SamplingRow.digest == settings_digest(settings))
    return session.scalar(query)


def ensure_sampling(session: Session, settings: Settings) -> int:
    """The key of sampling settings (without the number of samples) or of a source.

    Added when it is not there yet.
    """
    value = settings_digest(settings)
    row = {"digest": value, "settings": settings}
    return ensure_keys(session, SamplingRow, SamplingRow.digest, SamplingRow.key, {value: row})[
        value
    ]


def find_traits(session: Session, versions: Mapping[str, str]) -> dict[str, int] | None:
    """The key of each trait at its version, in the order given; None if one is not there."""
    keys = _trait_keys(session, versions)
    return keys if len(keys) == len(versions) else None


def ensure_traits(session: Session, versions: Mapping[str, str]) -> dict[str, int]:
    """The key of each trait at its version, in the order given; added when not there yet."""
    known = _trait_keys(session, versions)
    missing = [
        {"name": name, "version": version}
        for name, version in versions.items()
        if name not in known
    ]
    if not missing:
        return known
    insert_missing(session, TraitRow, missing)
    return _trait_keys(session, versions)


def _trait_keys(session: Session, versions: Mapping[str, str]) -> dict[str, int]:
    """The keys of the known traits, in the order given."""
    query = select(TraitRow.name, TraitRow.version, TraitRow.key).where(TraitRow.name.in_(versions))
    known = {(name, version): key for name, version, key in session.execute(query)}
    return {
        name: known[name, version] for name, version in versions.items() if (name, version) in known
    }


def add_responses(
    session: Session, policy: int, sampling: int, responses: Iterable[tuple[int, int, str]]
) -> None:
    """Stores responses (prompt key, sample, text) of a policy; existing ones stay as they are."""
    insert_missing(
        session,
        ResponseRow,
        [
            {
                "policy": policy,
                "sampling": sampling,
                "prompt": prompt,
                "sample": sample,
                # PostgreSQL has no NUL in its texts.
                "text": text.replace("\0", "\N{REPLACEMENT CHARACTER}"),
            }
            for prompt, sample, text in responses
        ],
    )


def add_rewards(session: Session, policy: int, sampling: int, rewards: Iterable[Reward]) -> None:
    """Stores rewards of a policy; existing ones stay as they are."""
    insert_missing(
        session,
        EvaluationRow,
        [{"policy": policy, "sampling": sampling, **vars(reward)} for reward in rewards],
    )


@dataclass(frozen=True)
class Progress:
    """How far the measurement of a policy is.

    Attributes:
        responses: that are stored.
        rewards: that are stored, failed ones included.
        failed: responses that a trait could not score, by trait.
    """

    responses: int
    rewards: int
    failed: Mapping[str, int]


def _prompts(measurement: Measurement) -> Select[int]:
    return select(PromptSetMemberRow.prompt).where(
        PromptSetMemberRow.prompt_set == measurement.prompt_set
    )


def progress(
    session: Session, measurement: Measurement, names: Sequence[str]
) -> dict[str, Progress]:
    """How far each policy is under the measurement, by policy name."""
    responses = (
        select(PolicyRow.name, func.count())
        .join(ResponseRow, ResponseRow.policy == PolicyRow.key)
        .where(
            PolicyRow.name.in_(names),
            ResponseRow.sampling == measurement.sampling,
            ResponseRow.sample < measurement.samples,
            ResponseRow.prompt.in_(_prompts(measurement)),
        )
        .group_by(PolicyRow.name)
    )
    failed = func.count() - func.count(EvaluationRow.normalised)
    rewards = (
        select(PolicyRow.name, EvaluationRow.trait, func.count(), failed)
        .join(EvaluationRow, EvaluationRow.policy == PolicyRow.key)
        .where(
            PolicyRow.name.in_(names),
            EvaluationRow.sampling == measurement.sampling,
            EvaluationRow.sample < measurement.samples,
            EvaluationRow.trait.in_(measurement.traits.values()),
            EvaluationRow.prompt.in_(_prompts(measurement)),
        )
        .group_by(PolicyRow.name, EvaluationRow.trait)
    )
    sampled = dict(session.execute(responses).all())
    scored: dict[str, int] = dict.fromkeys(names, 0)
    failures: dict[str, dict[int, int]] = {name: {} for name in names}
    for name, trait, count, failures_of_trait in session.execute(rewards):
        scored[name] += count
        failures[name][trait] = failures_of_trait
    return {
        name: Progress(
            responses=sampled.get(name, 0),
            rewards=scored[name],
            failed={trait: failures[name].get(key, 0) for trait, key in measurement.traits.items()},
        )
        for name in names
    }


def most_samples(session: Session, prompt_set: str, sampling: int) -> int:
    """The number of samples of the prompt that has most of them, at least 1."""
    members = select(PromptSetMemberRow.prompt).where(PromptSetMemberRow.prompt_set == prompt_set)
    # Not a join: SQLite would compare every reward with every member of the set.
    largest = session.scalar(
        select(func.max(EvaluationRow.sample)).where(
            EvaluationRow.sampling == sampling, EvaluationRow.prompt.in_(members)
        )
    )
    return (largest or 0) + 1


def unsampled(
    session: Session, measurement: Measurement, policy: int, size: int
) -> list[list[tuple[int, Prompt]]]:
    """The pieces of the prompt set in which a prompt lacks responses of a policy.

    Pieces are cut after every `size` prompts, and are always whole: a response depends on the
    position of its prompt in the call, so a piece that a crash interrupted is sampled again as a
    whole, and gives the responses that it would have given.

    Returns:
        (key, prompt) of each piece's prompts, in the set's order.
    """
    counts = (
        select(ResponseRow.prompt, func.count().label("count"))
        .where(
            ResponseRow.policy == policy,
            ResponseRow.sampling == measurement.sampling,
            ResponseRow.sample < measurement.samples,
        )
        .group_by(ResponseRow.prompt)
        .subquery()
    )
    count = func.coalesce(counts.c.count, 0)
    first = func.min(PromptSetMemberRow.position)
    query = (
        select(PromptRow, (count < measurement.samples).label("lacking"))
        .join(PromptSetMemberRow, PromptSetMemberRow.prompt == PromptRow.key)
        .outerjoin(counts, counts.c.prompt == PromptRow.key)
        .where(PromptSetMemberRow.prompt_set == measurement.prompt_set)
        .group_by(PromptRow.key, count)
        .order_by(first)
    )
    rows = session.execute(query).all()
    pieces = (rows[start : start + size] for start in range(0, len(rows), size))
    return [
        [(row.key, prompt_of(row)) for row, _ in piece]
        for piece in pieces
        if any(lacking for _, lacking in piece)
    ]


def unscored(
    session: Session, measurement: Measurement, policy: int, limit: int
) -> list[tuple[int, int, Prompt, str]]:
    """Up to `limit` (prompt key, sample, prompt, response) that lack a reward of a policy."""
    counts = (
        select(EvaluationRow.prompt, EvaluationRow.sample, func.count().label("count"))
        .where(
            EvaluationRow.policy == policy,
            EvaluationRow.sampling == measurement.sampling,
            EvaluationRow.trait.in_(measurement.traits.values()),
        )
        .group_by(EvaluationRow.prompt, EvaluationRow.sample)
        .subquery()
    )
    query = (
        select(ResponseRow.prompt, ResponseRow.sample, PromptRow, ResponseRow.text)
        .join(PromptRow, PromptRow.key == ResponseRow.prompt)
        .outerjoin(
            counts,
            and_(counts.c.prompt == ResponseRow.prompt, counts.c.sample == ResponseRow.sample),
        )
        .where(
            ResponseRow.policy == policy,
            ResponseRow.sampling == measurement.sampling,
            ResponseRow.sample < measurement.samples,
            ResponseRow.prompt.in_(_prompts(measurement)),
            func.coalesce(counts.c.count, 0) < len(measurement.traits),
        )
        # A fixed order: after a crash, a batch holds the same responses as before.
        .order_by(ResponseRow.prompt, ResponseRow.sample)
        .limit(limit)
    )
    return [
        (key, sample, prompt_of(row), text) for key, sample, row, text in session.execute(query)
    ]


def answers(
    session: Session, measurement: Measurement, policy: str, limit: int
) -> list[tuple[Prompt, str, dict[str, float]]]:
    """The first responses of a policy: (prompt, response, normalised reward by trait)."""
    prompts = (
        select(PromptSetMemberRow.prompt, func.min(PromptSetMemberRow.position).label("first"))
        .where(PromptSetMemberRow.prompt_set == measurement.prompt_set)
        .group_by(PromptSetMemberRow.prompt)
        .order_by("first")
        .limit(limit)
        .subquery()
    )
    query = (
        select(
            PromptRow,
            ResponseRow.text,
            EvaluationRow.trait,
            EvaluationRow.normalised,
            prompts.c.first,
        )
        .join(prompts, prompts.c.prompt == ResponseRow.prompt)
        .join(PromptRow, PromptRow.key == ResponseRow.prompt)
        .join(PolicyRow, PolicyRow.key == ResponseRow.policy)
        .outerjoin(
            EvaluationRow,
            and_(
                EvaluationRow.policy == ResponseRow.policy,
                EvaluationRow.sampling == ResponseRow.sampling,
                EvaluationRow.prompt == ResponseRow.prompt,
                EvaluationRow.sample == ResponseRow.sample,
                EvaluationRow.trait.in_(measurement.traits.values()),
            ),
        )
        .where(
            PolicyRow.name == policy,
            ResponseRow.sampling == measurement.sampling,
            ResponseRow.sample == 0,
        )
        .order_by(prompts.c.first)
    )
    trait_of = {key: name for name, key in measurement.traits.items()}
    answered: dict[int, tuple[Prompt, str, dict[str, float]]] = {}
    for row, response, trait, reward, _ in session.execute(query):
        _, _, rewards = answered.setdefault(row.key, (prompt_of(row), response, {}))
        if trait is not None and reward is not None:
            rewards[trait_of[trait]] = reward
    return list(answered.values())


def common_answers(
    session: Session, measurement: Measurement, names: Sequence[str], limit: int
) -> list[list[str]]:
    """Responses of several policies to the same prompts, for up to `limit` prompts and samples.

    First samples come first, each in the set's order of prompts.

    Returns:
        By prompt and sample for which each policy has a response: these, in the order of `names`.
    """
    first = (
        select(PromptSetMemberRow.prompt, func.min(PromptSetMemberRow.position).label("position"))
        .where(PromptSetMemberRow.prompt_set == measurement.prompt_set)
        .group_by(PromptSetMemberRow.prompt)
        .subquery()
    )
    keys = {key: name for name, key in _policy_keys(session, names).items()}
    common = (
        select(ResponseRow.prompt, ResponseRow.sample, first.c.position)
        .join(first, first.c.prompt == ResponseRow.prompt)
        .where(
            ResponseRow.policy.in_(keys),
            ResponseRow.sampling == measurement.sampling,
            ResponseRow.sample < measurement.samples,
        )
        .group_by(ResponseRow.prompt, ResponseRow.sample, first.c.position)
        .having(func.count() == len(names))
        .order_by(ResponseRow.sample, first.c.position)
        .limit(limit)
        .subquery()
    )
    query = (
        select(common.c.sample, common.c.position, ResponseRow.policy, ResponseRow.text)
        .join(
            common,
            and_(common.c.prompt == ResponseRow.prompt, common.c.sample == ResponseRow.sample),
        )
        .where(ResponseRow.policy.in_(keys), ResponseRow.sampling == measurement.sampling)
    )
    groups: dict[tuple[int, int], dict[str, str]] = {}
    for sample, position, policy, text in session.execute(query):
        groups.setdefault((sample, position), {})[keys[policy]] = text
    return [[groups[key][name] for name in names] for key in sorted(groups)]


def _policy_keys(session: Session, names: Sequence[str]) -> dict[str, int]:
    query = select(PolicyRow.name, PolicyRow.key).where(PolicyRow.name.in_(names))
    return dict(session.execute(query).all())
