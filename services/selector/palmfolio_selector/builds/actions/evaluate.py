"""The actions that measure a policy: sample its responses, score them."""

import math
from collections.abc import AsyncIterator, Sequence

from google.rpc import code_pb2, status_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, selector_pb2, types_pb2
from palmfolio_runtime.clients.failures import CallFaulted, CallRejected
from palmfolio_runtime.errors import failed_precondition
from palmfolio_selector.builds import state
from palmfolio_selector.builds.context import BuildContext, BuildFailed
from palmfolio_selector.builds.events import Happening
from palmfolio_selector.store import evaluations, policies, portfolios
from palmfolio_selector.store.evaluations import Measurement, Reward
from palmfolio_selector.store.tables import TrainingState

# Small enough that progress shows, and that little is lost in a crash: the call is made again.
_PROMPTS_PER_CALL = 256
_SAMPLES_PER_CALL = 256
_CHARACTERS_PER_CALL = 2_000_000


async def sample(context: BuildContext, policy: str) -> None:
    """Samples the responses that a policy lacks."""

    def missing(session: Session) -> tuple[Measurement, int, list[list[tuple[int, str]]]]:
        how = state.measurement(session, portfolios.get(session, context.portfolio))
        key = policies.by_name(session, [policy])[policy].key
        return how, key, evaluations.unsampled(session, how, key, _PROMPTS_PER_CALL)

    how, key, pieces = await context.tools.database.run(missing)
    done = (how.prompts - sum(map(len, pieces))) * how.samples
    for piece in pieces:
        before = done
        async for batch in _completions(context, policy, piece):
            done += len(batch)
            happening = Happening(
                selector_pb2.BUILD_STAGE_SAMPLING,
                f"sampled {done} of {how.responses} responses",
                policy,
                done,
                how.responses,
            )

            def store(
                session: Session,
                batch: list[tuple[int, int, str]] = batch,
                happening: Happening = happening,
            ) -> None:
                evaluations.add_responses(session, key, how.sampling, batch)
                context.append(session, happening)

            await context.tools.database.run(store)
            await context.tools.changes.notify()
        if done - before < len(piece) * how.samples:
            message = f"answered {done - before} of {len(piece) * how.samples} completions"
            raise CallFaulted("trainer", status_pb2.Status(code=code_pb2.INTERNAL, message=message))


async def _completions(
    context: BuildContext, policy: str, prompts: Sequence[tuple[int, str]]
) -> AsyncIterator[list[tuple[int, int, str]]]:
    """Batches of (prompt key, sample, text)."""
    texts = [text for _, text in prompts]
    async for batch in context.tools.trainer.generate(policy, texts, context.spec.sampling):
        context.answered("trainer")
        yield [(prompts[c.prompt_index][0], c.sample_index, c.text) for c in batch.completions]


async def score(context: BuildContext, policy: str) -> None:
    """Scores the responses of a policy that lack rewards."""
    scorer = context.tools.scorer

    def start(session: Session) -> tuple[Measurement, int, dict[str, str]]:
        row = portfolios.get(session, context.portfolio)
        key = policies.by_name(session, [policy])[policy].key
        return state.measurement(session, row), key, dict(row.trait_versions or {})

    how, key, versions = await context.tools.database.run(start)
    limit = min(_SAMPLES_PER_CALL, await scorer.max_samples())
    context.answered("scorer")
    while True:
        waiting = await context.tools.database.run(evaluations.unscored, how, key, limit)
        if not waiting:
            return
        waiting = _within_characters(waiting)
        samples = [(prompt, response) for _, _, prompt, response in waiting]
        try:
            matrix = await scorer.score(samples, list(how.traits))
        except CallRejected as error:
            raise BuildFailed(error.status) from error
        _check_versions(matrix, versions)
        rewards = _rewards(matrix, waiting, how)

        def store(session: Session, rewards: list[Reward] = rewards) -> None:
            evaluations.add_rewards(session, key, how.sampling, rewards)
            _, scored = evaluations.progress(session, how, [policy])[policy]
            done = scored // len(how.traits)
            message = f"scored {done} of {how.responses} responses"
            context.append(
                session,
                Happening(selector_pb2.BUILD_STAGE_SCORING, message, policy, done, how.responses),
            )

        await context.tools.database.run(store)
        await context.tools.changes.notify()


def _within_characters(
    waiting: list[tuple[int, int, str, str]],
) -> list[tuple[int, int, str, str]]:
    """The first samples, at least one, that fit into a call."""
    characters = 0
    for index, (_, _, prompt, response) in enumerate(waiting):
        characters += len(prompt) + len(response)
        if index and characters > _CHARACTERS_PER_CALL:
            return waiting[:index]
    return waiting


def _check_versions(matrix: types_pb2.RewardMatrix, versions: dict[str, str]) -> None:
    for trait, version in zip(matrix.traits, matrix.trait_versions, strict=True):
        if versions[trait] != version:
            error = failed_precondition(
                errors_pb2.ERROR_REASON_RESOURCE_NOT_READY,
                f"trait {trait} changed from version {versions[trait]} to {version} during the "
                "build: build the portfolio again to start over with the new version",
            )
            raise BuildFailed(error.to_status())


def _rewards(
    matrix: types_pb2.RewardMatrix,
    waiting: Sequence[tuple[int, int, str, str]],
    how: Measurement,
) -> list[Reward]:
    found: list[Reward] = []
    traits = list(matrix.traits)
    for row, (prompt, sample_index, _, _) in enumerate(waiting):
        status = matrix.statuses[row]
        for column, trait in enumerate(traits):
            raw = matrix.raw[row * len(traits) + column]
            normalised = matrix.normalised[row * len(traits) + column]
            if math.isnan(normalised) or trait in status.failed_traits:
                message = status.status.message or "the trait gave no reward"
                reward = Reward(prompt, sample_index, how.traits[trait], None, None, message)
            else:
                reward = Reward(prompt, sample_index, how.traits[trait], raw, normalised)
            found.append(reward)
    return found


async def abandon(context: BuildContext, policy: str, status: status_pb2.Status) -> None:
    """Takes a policy that cannot be measured out of the candidates; the build goes on."""

    def store(session: Session) -> None:
        drop_candidate(session, context.portfolio, policy, status)
        context.append(
            session,
            Happening(
                selector_pb2.BUILD_STAGE_SCORING,
                f"the policy is no candidate: {status.message}",
                policy,
            ),
        )

    await context.tools.database.run(store)
    await context.tools.changes.notify()


def drop_candidate(
    session: Session, portfolio: str, policy: str, status: status_pb2.Status
) -> None:
    """Notes that a policy is no candidate: its trainings count as failed."""
    row = portfolios.get(session, portfolio)
    if row.base_policy == policy:
        row.base_policy = ""
    for training in portfolios.trainings(session, portfolio):
        if training.policy == policy and training.state is TrainingState.READY:
            portfolios.fail_training(training, status)
