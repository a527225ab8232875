"""Actions that have the trainer train policies, and follow the trainings."""

from collections.abc import Mapping

from google.longrunning import operations_pb2
from google.rpc import status_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, portfolios_pb2, trainer_pb2, types_pb2
from palmfolio_runtime import names
from palmfolio_runtime.clients.failures import CallRejected, DependencyDown
from palmfolio_runtime.clients.scorer import require_loaded
from palmfolio_runtime.errors import ServiceError, failed_precondition, invalid_argument
from palmfolio_selector.builds import references
from palmfolio_selector.builds.context import BuildContext, BuildFailed
from palmfolio_selector.builds.events import EventDraft
from palmfolio_selector.store import measurement, policies, portfolios, prompt_sets
from palmfolio_selector.store.tables import TrainingState

_TRAINING = portfolios_pb2.BUILD_STAGE_TRAINING


async def prepare(context: BuildContext) -> None:
    """Fixes the versions of the traits and the policy of the base model."""
    spec = context.spec
    traits = await context.server.scorer.traits()
    unknown = [trait for trait in spec.traits if trait not in traits]
    if unknown:
        raise BuildFailed(unknown_traits(unknown, list(traits)).to_status())
    failures = [f"{name}: {traits[name].failure}" for name in spec.traits if traits[name].failure]
    if failures:
        # The operator can repair a trait while the build waits for it.
        raise DependencyDown.because("scorer", "cannot score trait " + "; ".join(failures))
    require_loaded({name: traits[name] for name in spec.traits})
    problem = await context.read(references.problem, spec, traits)
    if problem is not None:
        raise BuildFailed(problem.to_status())
    # Only now: a scorer that answers, but cannot do what is needed, is tried less and less often.
    context.answered("scorer")
    bases = await context.server.trainer.base_models()
    if spec.base_model not in bases:
        raise BuildFailed(unknown_base_model(spec.base_model, list(bases)).to_status())
    policy = await context.server.trainer.policy(bases[spec.base_model].policy)
    context.answered("trainer")
    versions = {name: traits[name].version for name in spec.traits}
    await context.commit(_store_prepared, context, versions, policy)


def _store_prepared(
    session: Session, context: BuildContext, versions: dict[str, str], policy: trainer_pb2.Policy
) -> None:
    row = portfolios.get(session, context.portfolio)
    row.trait_versions = versions
    row.base_policy = policies.remember(session, policy).name
    # From here on the build finds its measurement without writing anything.
    measurement.ensure(session, row)


def unknown_traits(unknown: list[str], known: list[str]) -> ServiceError:
    """INVALID_ARGUMENT for traits that the scorer does not have."""
    hint = f"unknown trait; known traits: {', '.join(sorted(known))}"
    return invalid_argument(*((f"spec.traits[{trait}]", hint) for trait in unknown))


def unknown_base_model(name: str, known: list[str]) -> ServiceError:
    """INVALID_ARGUMENT for a base model that the trainer does not have."""
    hint = f"unknown base model {name!r}; known: {', '.join(sorted(known))}"
    return invalid_argument(("spec.base_model", hint))


async def submit(context: BuildContext, position: int) -> None:
    """Submits a training; the trainer may have its policy already."""
    request = await context.read(_request, context, position)
    try:
        operation = await context.server.trainer.train(request)
    except CallRejected as error:
        await fail(context, position, error.status)
        return
    context.answered("trainer")
    if operation.done:
        # The trainer had the policy: policies are addressed by their spec.
        await _finish(context, position, operation)
        return
    total = len(context.facts.trainings) if context.facts else 0
    described = _described(request.spec.weights.values)
    message = f"training {position} of {total} is submitted: {described}"
    await context.commit(_store_submitted, context, position, operation.name, message)


def _store_submitted(
    session: Session, context: BuildContext, position: int, operation: str, message: str
) -> None:
    row = portfolios.training(session, context.portfolio, position)
    row.operation = operation
    row.state = TrainingState.RUNNING
    context.append(session, EventDraft(_TRAINING, message))


def _described(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{trait} {weight:.3g}" for trait, weight in sorted(weights.items()))


def _request(
    session: Session, context: BuildContext, position: int
) -> trainer_pb2.TrainPolicyRequest:
    spec = context.spec
    row = portfolios.training(session, context.portfolio, position)
    portfolio = portfolios.get(session, context.portfolio)
    prompt_set = names.PROMPT_SETS.id(spec.training_prompt_set)
    initial = ""
    if row.initial:
        initial = portfolios.training(session, context.portfolio, row.initial).policy
    return trainer_pb2.TrainPolicyRequest(
        # A later build of the portfolio has another operation, so it repeats failed trainings.
        request_id=f"{context.operation}-{position}",
        spec=trainer_pb2.PolicySpec(
            base_model=spec.base_model,
            weights=types_pb2.Weights(values=row.weights),
            prompts=[prompt.to_message() for prompt in prompt_sets.prompts_of(session, prompt_set)],
            trait_versions=portfolio.trait_versions,
            seed=spec.seed if row.seed is None else row.seed,
            initial_policy=initial,
            grpo=trainer_pb2.GrpoConfig.FromString(row.grpo),
        ),
    )


async def follow(context: BuildContext, position: int) -> None:
    """Passes on the events of a training until it ends, and stores its result."""
    row = await context.read(portfolios.training, context.portfolio, position)
    trainer = context.server.trainer
    try:
        async for event in trainer.watch(row.operation, row.last_event):
            context.answered("trainer")
            await context.commit(_pass_on, context, position, event)
        operation = await trainer.operation(row.operation)
    except CallRejected as error:
        await fail(context, position, error.status)
        return
    if not operation.done:
        # The trainer ended the stream before the training ended, as it does when it shuts down.
        raise DependencyDown("trainer", status_pb2.Status(message="ended the stream of events"))
    await _finish(context, position, operation)


def _pass_on(
    session: Session, context: BuildContext, position: int, event: trainer_pb2.TrainingEvent
) -> None:
    row = portfolios.training(session, context.portfolio, position)
    row.last_event = event.number
    progress = event.progress
    context.append(
        session,
        EventDraft(
            _TRAINING,
            f"training {position}: {event.message or progress.stage}",
            done=progress.step,
            total=progress.steps,
            reward_means=dict(progress.reward_means),
        ),
    )


async def _finish(
    context: BuildContext, position: int, operation: operations_pb2.Operation
) -> None:
    if operation.HasField("error"):
        await fail(context, position, operation.error)
        return
    policy = trainer_pb2.Policy()
    operation.response.Unpack(policy)

    await context.commit(_store_trained, context, position, operation.name, policy)


def _store_trained(
    session: Session,
    context: BuildContext,
    position: int,
    operation: str,
    policy: trainer_pb2.Policy,
) -> None:
    row = portfolios.training(session, context.portfolio, position)
    row.operation = operation
    row.state = TrainingState.READY
    row.policy = policies.remember(session, policy).name
    message = f"training {position} is done"
    context.append(session, EventDraft(_TRAINING, message, policy=policy.name))


async def fail(context: BuildContext, position: int, status: status_pb2.Status) -> None:
    """Stores that a training failed; the build goes on without it."""
    await context.commit(_store_failed, context, position, status)


def _store_failed(
    session: Session, context: BuildContext, position: int, status: status_pb2.Status
) -> None:
    portfolios.fail_training(portfolios.training(session, context.portfolio, position), status)
    message = f"training {position} failed: {status.message}"
    context.append(session, EventDraft(_TRAINING, message))


async def give_up(context: BuildContext, position: int) -> None:
    """Gives up a training whose starting point failed."""

    row = await context.read(portfolios.training, context.portfolio, position)
    error = failed_precondition(
        errors_pb2.ERROR_REASON_TRAINING_FAILED,
        f"training {row.initial}, from which this one starts, failed",
    )
    await fail(context, position, error.to_status())


async def release(context: BuildContext) -> None:
    """Cancels the trainings of a build that ends early, unless another build waits for them."""
    for operation in await context.read(_running, context.portfolio):
        await context.server.trainer.cancel(operation)


def _running(session: Session, portfolio: str) -> list[str]:
    """The trainer's operations for which only this portfolio waits."""
    # Builds that want the same policy share the trainer's operation.
    elsewhere = portfolios.trainings_wanted_elsewhere(session, portfolio)
    return [
        row.operation
        for row in portfolios.trainings(session, portfolio)
        if row.state is TrainingState.RUNNING and row.operation not in elsewhere
    ]
