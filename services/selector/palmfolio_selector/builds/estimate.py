"""What a build would do, told before it is asked for."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from palmfolio.v1 import selector_pb2, trainer_pb2, types_pb2
from palmfolio_runtime import names
from palmfolio_runtime.digest import digest
from palmfolio_runtime.limits import Limits
from palmfolio_selector.builds.state import spec_of
from palmfolio_selector.domain import strategies
from palmfolio_selector.store import prompt_sets
from palmfolio_selector.store.tables import PortfolioRow, TrainingRow, TrainingState

_LISTED = 1000
_INT64_MAX = 2**63 - 1


def plan(
    session: Session, spec: selector_pb2.PortfolioSpec, limits: Limits
) -> selector_pb2.PlanPortfolioResponse:
    """The plan of a canonical spec.

    Raises:
        ServiceError: NOT_FOUND for an unknown prompt set.
    """
    for name in (spec.training_prompt_set, spec.evaluation_prompt_set):
        prompt_sets.get(session, names.PROMPT_SETS.id(name))
    evaluation_set = names.PROMPT_SETS.id(spec.evaluation_prompt_set)
    prompts = prompt_sets.distinct_size(session, evaluation_set)
    allowed = strategies.max_trainings(spec, limits)
    wanted = strategies.count(spec, limits)
    listed = strategies.first_trainings(spec, _LISTED) if wanted <= allowed else []
    made = _made_before(session, spec)
    responses = (wanted + 1) * prompts * spec.sampling.samples_per_prompt
    return selector_pb2.PlanPortfolioResponse(
        trainings=min(wanted, _INT64_MAX),
        trainings_allowed=allowed,
        trainings_reused=sum(identity in made for identity in _identities(spec, listed)),
        weights=[training.weights for training in listed],
        responses=min(responses, _INT64_MAX),
        guarantee=strategies.planned(spec, prompts),
    )


def _identities(
    spec: selector_pb2.PortfolioSpec, trainings: list[selector_pb2.ExplicitTraining]
) -> list[str]:
    """What tells trainings apart, one after the other; a start is known by its own identity."""
    found: list[str] = []
    for training in trainings:
        start = found[training.initial_training - 1] if training.initial_training else ""
        found.append(_identity(spec, training.weights, training.grpo, spec.seed, start))
    return found


def _identity(
    spec: selector_pb2.PortfolioSpec,
    weights: types_pb2.Weights,
    grpo: trainer_pb2.GrpoConfig,
    seed: int,
    start: str,
) -> str:
    positive = {trait: weight for trait, weight in weights.values.items() if weight > 0}
    settings = grpo.SerializeToString(deterministic=True).hex()
    return digest(
        [spec.base_model, spec.training_prompt_set, positive, settings, seed, start], length=32
    )


def _made_before(session: Session, spec: selector_pb2.PortfolioSpec) -> set[str]:
    """The identities of the trainings that builds of the same base model have ended."""
    made: set[str] = set()
    query = (
        select(PortfolioRow, TrainingRow)
        .join(TrainingRow, TrainingRow.portfolio == PortfolioRow.id)
        .order_by(PortfolioRow.id, TrainingRow.position)
    )
    known: dict[tuple[str, int], str] = {}
    for portfolio, row in session.execute(query):
        its_spec = spec_of(portfolio)
        if its_spec.base_model != spec.base_model:
            continue
        start = known[portfolio.id, row.initial] if row.initial else ""
        identity = _identity(
            its_spec,
            types_pb2.Weights(values=row.weights),
            trainer_pb2.GrpoConfig.FromString(row.grpo),
            its_spec.seed if row.seed is None else row.seed,
            start,
        )
        known[portfolio.id, row.position] = identity
        if row.state is TrainingState.READY:
            made.add(identity)
    return made
