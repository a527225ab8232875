"""Actions that measure a policy: sample its responses, score them, drop it if that fails."""

import math
from collections.abc import AsyncIterator, Sequence

from google.rpc import code_pb2, status_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, portfolios_pb2, types_pb2
from palmfolio_runtime.clients.failures import CallFaulted, CallRejected, DependencyDown
from palmfolio_runtime.errors import failed_precondition
from palmfolio_runtime.prompts import Prompt
from palmfolio_selector.builds import state
from palmfolio_selector.builds.context import BuildContext, BuildFailed
from palmfolio_selector.builds.events import EventDraft
from palmfolio_selector.domain.coverage import Exclusion
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.store import evaluations, policies, portfolios
from palmfolio_selector.store import values as stored_values
from palmfolio_selector.store.evaluations import Reward
from palmfolio_selector.store.tables import TrainingState

# Small enough that progress shows, and that a crash loses little: the call is made again.
_PROMPTS_PER_CALL = 256
_SAMPLES_PER_CALL = 256
_CHARACTERS_PER_CALL = 2_000_000


async def sample(context: BuildContext, policy: str) -> None:
    """Samples the responses that a policy lacks."""
    measurement, key, pieces = await context.read(_lacking_responses, context, policy)
    # The other pieces are complete, since before a crash or from another build.
    done = (measurement.prompts - sum(map(len, pieces))) * measurement.samples
    for piece in pieces:
        before = done
        async for batch in _completions(context, policy, piece):
            done += len(batch)
            await context.commit(_store_responses, context, policy, key, measurement, batch, done)
        wanted = len(piece) * measurement.samples
        if done - before < wanted:
            # A stream that ends early without an error; the plan would sample again for ever.
            message = f"answered {done - before} of {wanted} completions"
            raise CallFaulted("trainer", status_pb2.Status(code=code_pb2.INTERNAL, message=message))


def _lacking_responses(
    session: Session, context: BuildContext, policy: str
) -> tuple[Measurement, int, list[list[tuple[int, Prompt]]]]:
    """The measurement, the policy's key, and the prompts that lack responses, by piece."""
    measurement = state.measurement_of(session, context.portfolio)
    key = policies.by_name(session, [policy])[policy].key
    pieces = evaluations.unsampled(session, measurement, key, _PROMPTS_PER_CALL)
    return measurement, key, pieces


async def _completions(
    context: BuildContext, policy: str, prompts: Sequence[tuple[int, Prompt]]
) -> AsyncIterator[list[tuple[int, int, str]]]:
    """Batches of (prompt key, sample, text)."""
    asked = [prompt for _, prompt in prompts]
    async for batch in context.server.trainer.generate(policy, asked, context.spec.sampling):
        context.answered("trainer")
        yield [(prompts[c.prompt_index][0], c.sample_index, c.text) for c in batch.completions]


def _store_responses(
    session: Session,
    context: BuildContext,
    policy: str,
    key: int,
    measurement: Measurement,
    batch: list[tuple[int, int, str]],
    done: int,
) -> None:
    evaluations.add_responses(session, key, measurement.sampling, batch)
    total = measurement.responses
    message = f"sampled {done} of {total} responses"
    stage = portfolios_pb2.BUILD_STAGE_SAMPLING
    context.append(session, EventDraft(stage, message, policy, done, total))


async def score(context: BuildContext, policy: str) -> None:
    """Scores the responses of a policy that lack rewards."""
    scorer = context.server.scorer
    measurement, key, versions = await context.read(_score_inputs, context, policy)
    limit = min(_SAMPLES_PER_CALL, await scorer.max_samples())
    context.answered("scorer")
    while True:
        waiting = await context.read(evaluations.unscored, measurement, key, limit)
        if not waiting:
            return
        waiting = _within_characters(waiting)
        samples = [(prompt, response) for _, _, prompt, response in waiting]
        try:
            matrix = await scorer.score(samples, list(measurement.traits))
        except CallRejected as error:
            # The scorer refuses the traits as such, so it would refuse every other policy as well.
            raise BuildFailed(error.status) from error
        _check_versions(matrix, versions)
        _check_present(matrix)
        rewards = _rewards(matrix, waiting, measurement)
        await context.commit(_store_rewards, context, policy, key, measurement, rewards)


def _score_inputs(
    session: Session, context: BuildContext, policy: str
) -> tuple[Measurement, int, dict[str, str]]:
    """The measurement, the policy's key, and the version of each trait."""
    versions = portfolios.get(session, context.portfolio).trait_versions
    key = policies.by_name(session, [policy])[policy].key
    return state.measurement_of(session, context.portfolio), key, dict(versions or {})


def _within_characters(
    waiting: list[tuple[int, int, Prompt, str]],
) -> list[tuple[int, int, Prompt, str]]:
    """The first samples, at least one, that fit into a call."""
    characters = 0
    for index, (_, _, prompt, response) in enumerate(waiting):
        asked = sum(len(turn.content) for turn in prompt.messages) + len(prompt.reference)
        characters += asked + len(response)
        if index and characters > _CHARACTERS_PER_CALL:
            return waiting[:index]
    return waiting


def _check_versions(matrix: types_pb2.RewardMatrix, versions: dict[str, str]) -> None:
    # Means over rewards of two versions could not be compared.
    for trait, version in zip(matrix.traits, matrix.trait_versions, strict=True):
        if versions[trait] != version:
            error = failed_precondition(
                errors_pb2.ERROR_REASON_RESOURCE_NOT_READY,
                f"trait {trait} changed from version {versions[trait]} to {version} during the "
                "build: build the portfolio again to start over with the new version",
            )
            raise BuildFailed(error.to_status())


def _check_present(matrix: types_pb2.RewardMatrix) -> None:
    """Refuses an answer in which a trait was away: that is no judgement of a response."""
    for status in matrix.statuses:
        if status.status.code in (code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED):
            traits = ", ".join(status.failed_traits)
            raise DependencyDown.because("scorer", f"{traits}: {status.status.message}")


def _rewards(
    matrix: types_pb2.RewardMatrix,
    waiting: Sequence[tuple[int, int, Prompt, str]],
    measurement: Measurement,
) -> list[Reward]:
    """A reward for each response and trait; where a trait failed, its reason instead."""
    rewards: list[Reward] = []
    traits = list(matrix.traits)
    for row, (prompt, sample_index, _, _) in enumerate(waiting):
        status = matrix.statuses[row]
        for column, trait in enumerate(traits):
            key = measurement.traits[trait]
            raw = matrix.raw[row * len(traits) + column]
            normalised = matrix.normalised[row * len(traits) + column]
            # A failed reward is stored without a value: never as zero.
            if math.isnan(normalised) or trait in status.failed_traits:
                message = status.status.message or "the trait gave no reward"
                rewards.append(Reward(prompt, sample_index, key, None, None, message))
            else:
                rewards.append(Reward(prompt, sample_index, key, raw, normalised))
    return rewards


def _store_rewards(
    session: Session,
    context: BuildContext,
    policy: str,
    key: int,
    measurement: Measurement,
    rewards: Sequence[Reward],
) -> None:
    evaluations.add_rewards(session, key, measurement.sampling, rewards)
    scored = evaluations.progress(session, measurement, [policy])[policy].rewards
    if scored >= measurement.rewards:
        # The policy is complete: its means are stored here, so that no read has to write them.
        stored_values.materialise(session, measurement, [policy])
    done, total = scored // len(measurement.traits), measurement.responses
    message = f"scored {done} of {total} responses"
    stage = portfolios_pb2.BUILD_STAGE_SCORING
    context.append(session, EventDraft(stage, message, policy, done, total))


async def drop(context: BuildContext, policy: str) -> None:
    """Takes a policy that lacks too many rewards out of the candidates."""
    exclusion = await context.read(state.exclusion, context.portfolio, policy)
    if exclusion is not None:
        await context.commit(_store_dropped, context, exclusion)


def _store_dropped(session: Session, context: BuildContext, exclusion: Exclusion) -> None:
    portfolios.exclude(session, context.portfolio, exclusion)
    status = status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message=exclusion.reason)
    _store_abandoned(session, context, exclusion.policy, status)


async def abandon(context: BuildContext, policy: str, status: status_pb2.Status) -> None:
    """Takes a policy that cannot be measured out of the candidates; the build goes on."""
    await context.commit(_store_abandoned, context, policy, status)


def _store_abandoned(
    session: Session, context: BuildContext, policy: str, status: status_pb2.Status
) -> None:
    row = portfolios.get(session, context.portfolio)
    # The base model's policy, or the policy of one or more trainings.
    if row.base_policy == policy:
        row.base_policy = ""
    for training in portfolios.trainings(session, context.portfolio):
        if training.policy == policy and training.state is TrainingState.READY:
            portfolios.fail_training(training, status)
    message = f"the policy is not a candidate: {status.message}"
    context.append(session, EventDraft(portfolios_pb2.BUILD_STAGE_SCORING, message, policy))
