"""Measures the output diversity of a portfolio from stored answers and the scorer's embeddings."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from palmfolio.v1 import output_diversity_pb2, scorer_pb2
from palmfolio_palm.validation import IntArray
from palmfolio_runtime.clients.failures import CallError, DependencyDown
from palmfolio_runtime.clients.scorer import ScorerClient, require_loaded
from palmfolio_runtime.prompts import Prompt
from palmfolio_selector.builds.context import ServerParts
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.domain.output_diversity import (
    MAX_MEMBERS,
    ComparedPortfolios,
    compared_figures,
    compared_portfolios,
    different_answers,
)
from palmfolio_selector.domain.values import Values
from palmfolio_selector.messages import output_diversity as messages
from palmfolio_selector.store import evaluations, policies

_KIND = "embedding_similarity"
_SAMPLES_PER_CALL = 256
_CHARACTERS_PER_CALL = 2_000_000

Pair = tuple[str, str]


@dataclass(frozen=True)
class _Embedded:
    """The embedding distances of answers, or why there are none."""

    trait: str = ""
    version: str = ""
    problem: str = ""
    distances: Mapping[Pair, float] | None = None


async def measure(
    server: ServerParts,
    measurement: Measurement,
    values: Values,
    members: IntArray,
    *,
    waits: bool,
) -> output_diversity_pb2.OutputDiversity | None:
    """How different the members' answers to the same prompts are.

    Args:
        waits: whether the caller waits for a scorer that is away. If not, the figures then come
            without the embedding distance.

    Returns:
        None for more than 64 members, and where no prompt has an answer of every policy.

    Raises:
        DependencyDown: the scorer is away, and the caller waits for it.
    """
    if len(members) > MAX_MEMBERS:
        return None
    compared, answers = await server.database.run(_stored, measurement, values, members)
    if not answers:
        return None
    if len(members) == 1:
        embedded = _Embedded(problem="a single member has no other to be compared with")
    else:
        pairs = different_answers(compared, answers)
        embedded = await _embedded(server.scorer, values.traits, pairs, waits=waits)
    figures = await asyncio.get_running_loop().run_in_executor(
        server.mathematics, compared_figures, compared, answers, embedded.distances
    )
    message = messages.output_diversity(compared, figures, values.names)
    message.embedding_trait = embedded.trait
    message.embedding_trait_version = embedded.version
    message.embedding_problem = embedded.problem
    return message


def _stored(
    session: Session, measurement: Measurement, values: Values, members: IntArray
) -> tuple[ComparedPortfolios, list[list[str]]]:
    """The portfolios to compare, and the answers of their policies by group."""
    known = policies.by_name(session, values.names)
    weights = [known[name].weights for name in values.names]
    compared = compared_portfolios([*map(int, members)], weights, values.traits)
    names = [values.names[position] for position in compared.policies]
    return compared, evaluations.common_answers(session, measurement, names, compared.max_groups)


async def _embedded(
    scorer: ScorerClient, preferred: Sequence[str], pairs: Sequence[Pair], *, waits: bool
) -> _Embedded:
    """The distances by the model of an embedding trait, the portfolio's own where it has one.

    Raises:
        DependencyDown: the scorer is away, and the caller waits for it.
    """
    try:
        return await _distances(scorer, preferred, pairs)
    except CallError as error:
        if waits and isinstance(error, DependencyDown):
            raise
        return _Embedded(problem=f"the scorer cannot be asked: {error.reason}")


async def _distances(
    scorer: ScorerClient, preferred: Sequence[str], pairs: Sequence[Pair]
) -> _Embedded:
    traits = {name: t for name, t in (await scorer.traits()).items() if t.kind == _KIND}
    if not traits:
        return _Embedded(problem=f"the scorer has no trait of the kind {_KIND}")
    usable = [name for name, trait in traits.items() if not trait.failure]
    if not usable:
        failures = "; ".join(f"{name}: {trait.failure}" for name, trait in traits.items())
        return _Embedded(problem=f"no trait of the kind {_KIND} can be scored: {failures}")
    name = min(usable, key=lambda each: (each not in preferred, usable.index(each)))
    trait = traits[name]
    # Its version and its fields are not known before.
    require_loaded({name: trait})
    limit = min(_SAMPLES_PER_CALL, await scorer.max_samples())
    distances: dict[Pair, float] = {}
    for piece in _pieces(pairs, limit):
        matrix = await scorer.score([_sample(trait, pair) for pair in piece], [name])
        for pair, cosine in zip(piece, matrix.raw, strict=True):
            if math.isfinite(cosine):
                distances[pair] = min(max(1.0 - cosine, 0.0), 2.0)
    if pairs and not distances:
        return _Embedded(problem=f"the trait {name} scored none of {len(pairs)} pairs of answers")
    return _Embedded(name, trait.version, "", distances)


def _sample(trait: scorer_pb2.Trait, pair: Pair) -> tuple[Prompt, str]:
    """Two answers in the places of the two texts that the trait compares."""
    # An empty answer as the response: the trait states what such a response gets.
    places = pair if pair[0].strip() else pair[::-1]
    texts = dict(zip(sorted(trait.fields), places, strict=True))
    prompt = Prompt.of_text(texts.get("prompt", ""), texts.get("reference", ""))
    return prompt, texts.get("response", "")


def _pieces(pairs: Sequence[Pair], limit: int) -> list[list[Pair]]:
    """The pairs in pieces that fit into a call."""
    pieces: list[list[Pair]] = []
    characters = 0
    for pair in pairs:
        characters += len(pair[0]) + len(pair[1])
        if not pieces or len(pieces[-1]) == limit or characters > _CHARACTERS_PER_CALL:
            pieces.append([])
            characters = len(pair[0]) + len(pair[1])
        pieces[-1].append(pair)
    return pieces
