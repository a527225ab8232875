"""Responses and their rewards."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session

from palmfolio_runtime.digest import digest
from palmfolio_selector.store.inserts import insert_missing, keys_by
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
class Measurement:
    """How policies are measured: what a value of a policy depends on besides the policy.

    Attributes:
        prompt_set: the id of the evaluation prompts.
        prompts: the number of different prompts in it.
        sampling: the key of the sampling settings.
        samples: responses to each prompt.
        traits: key of the trait's version by trait, in the order of the values' columns.
    """

    prompt_set: str
    prompts: int
    sampling: int
    samples: int
    traits: Mapping[str, int]

    @property
    def responses(self) -> int:
        """Responses that a policy must have."""
        return self.prompts * self.samples

    @property
    def rewards(self) -> int:
        """Rewards that a policy must have."""
        return self.responses * len(self.traits)


@dataclass(frozen=True)
class Reward:
    """One response's reward on one trait; `raw` and `normalised` are None where it failed."""

    prompt: int
    sample: int
    trait: int
    raw: float | None
    normalised: float | None
    failure: str = ""


def sampling_key(session: Session, settings: Mapping[str, float | str]) -> int:
    """The key of sampling settings (without the number of samples), or a source; added when new."""
    value = digest(dict(settings))
    insert_missing(session, SamplingRow, [{"digest": value, "settings": dict(settings)}])
    return keys_by(session, SamplingRow.digest, SamplingRow.key, [value])[value]


def trait_keys(session: Session, versions: Mapping[str, str]) -> dict[str, int]:
    """The key of each trait at its version, in the order given, added when new."""
    rows = [{"name": name, "version": version} for name, version in versions.items()]
    insert_missing(session, TraitRow, rows)
    found: dict[str, int] = {}
    for name, version in versions.items():
        query = select(TraitRow.key).where(TraitRow.name == name, TraitRow.version == version)
        found[name] = session.scalars(query).one()
    return found


def add_responses(
    session: Session, policy: int, sampling: int, responses: Iterable[tuple[int, int, str]]
) -> None:
    """Stores (prompt key, sample, text) of a policy; those that exist stay as they are."""
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
    """Stores rewards of a policy; those that exist stay as they are."""
    insert_missing(
        session,
        EvaluationRow,
        [{"policy": policy, "sampling": sampling, **vars(reward)} for reward in rewards],
    )


def _prompts(measurement: Measurement) -> Select[int]:
    return select(PromptSetMemberRow.prompt).where(
        PromptSetMemberRow.prompt_set == measurement.prompt_set
    )


def progress(
    session: Session, measurement: Measurement, names: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """(responses, rewards) that each policy has under the measurement, by policy name."""
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
    rewards = (
        select(PolicyRow.name, func.count())
        .join(EvaluationRow, EvaluationRow.policy == PolicyRow.key)
        .where(
            PolicyRow.name.in_(names),
            EvaluationRow.sampling == measurement.sampling,
            EvaluationRow.sample < measurement.samples,
            EvaluationRow.trait.in_(measurement.traits.values()),
            EvaluationRow.prompt.in_(_prompts(measurement)),
        )
        .group_by(PolicyRow.name)
    )
    sampled = dict(session.execute(responses).all())
    scored = dict(session.execute(rewards).all())
    return {name: (sampled.get(name, 0), scored.get(name, 0)) for name in names}


def unsampled(
    session: Session, measurement: Measurement, policy: int, size: int
) -> list[list[tuple[int, str]]]:
    """The pieces of the prompt set in which a prompt lacks responses of a policy.

    Pieces are cut after every `size` prompts, and are always whole: a response depends on its
    prompt's place in the call, so what a crash cut short is sampled as it would have been.

    Returns:
        (key, text) of each piece's prompts, in the set's order.
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
        select(PromptRow.key, PromptRow.text, (count < measurement.samples).label("lacking"))
        .join(PromptSetMemberRow, PromptSetMemberRow.prompt == PromptRow.key)
        .outerjoin(counts, counts.c.prompt == PromptRow.key)
        .where(PromptSetMemberRow.prompt_set == measurement.prompt_set)
        .group_by(PromptRow.key, PromptRow.text, count)
        .order_by(first)
    )
    rows = session.execute(query).all()
    pieces = (rows[start : start + size] for start in range(0, len(rows), size))
    return [
        [(key, text) for key, text, _ in piece]
        for piece in pieces
        if any(lacking for _, _, lacking in piece)
    ]


def unscored(
    session: Session, measurement: Measurement, policy: int, limit: int
) -> list[tuple[int, int, str, str]]:
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
        select(ResponseRow.prompt, ResponseRow.sample, PromptRow.text, ResponseRow.text)
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
        .order_by(ResponseRow.prompt, ResponseRow.sample)
        .limit(limit)
    )
    return [(key, sample, prompt, text) for key, sample, prompt, text in session.execute(query)]


def answers(
    session: Session, measurement: Measurement, policy: str, limit: int
) -> list[tuple[str, str, dict[str, float]]]:
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
            PromptRow.text,
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
    found: dict[str, tuple[str, dict[str, float]]] = {}
    for prompt, response, trait, reward, _ in session.execute(query):
        _, rewards = found.setdefault(prompt, (response, {}))
        if trait is not None and reward is not None:
            rewards[trait_of[trait]] = reward
    return [(prompt, response, rewards) for prompt, (response, rewards) in found.items()]
