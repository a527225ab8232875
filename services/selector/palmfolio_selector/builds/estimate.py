"""Estimates a build without starting it."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2, selector_pb2, trainer_pb2, types_pb2
from palmfolio_runtime import names
from palmfolio_runtime.digest import digest
from palmfolio_runtime.identity import canonical
from palmfolio_runtime.limits import SelectorLimits
from palmfolio_selector.domain import strategies
from palmfolio_selector.store import prompt_sets
from palmfolio_selector.store.measurement import spec_of
from palmfolio_selector.store.tables import PortfolioRow, TrainingRow, TrainingState

# Weights that the answer lists at most.
_LISTED = 1000
_INT64_MAX = 2**63 - 1


def estimate(
    session: Session, spec: portfolios_pb2.PortfolioSpec, limits: SelectorLimits
) -> selector_pb2.PlanPortfolioResponse:
    """What a build of a canonical spec would train and could guarantee.

    Raises:
        ServiceError: NOT_FOUND for an unknown prompt set.
    """
    for name in (spec.training_prompt_set, spec.evaluation_prompt_set):
        prompt_sets.get(session, names.PROMPT_SETS.id(name))
    evaluation_set = names.PROMPT_SETS.id(spec.evaluation_prompt_set)
    prompts = prompt_sets.distinct_size(session, evaluation_set)
    allowed = strategies.max_trainings(spec, limits)
    wanted = strategies.count(spec, limits)
    # A strategy over the budget may want billions of trainings; they are counted, not listed.
    listed = strategies.first_trainings(spec, _LISTED) if wanted <= allowed else []
    known = _finished_before(session, spec)
    # The base model is sampled in addition to the trained policies.
    responses = (wanted + 1) * prompts * spec.sampling.samples_per_prompt
    return selector_pb2.PlanPortfolioResponse(
        trainings=min(wanted, _INT64_MAX),
        trainings_allowed=allowed,
        trainings_reused=sum(identity in known for identity in _identities(spec, listed)),
        weights=[training.weights for training in listed],
        responses=min(responses, _INT64_MAX),
        guarantee=strategies.planned(spec, prompts),
    )


def _identities(
    spec: portfolios_pb2.PortfolioSpec, trainings: list[portfolios_pb2.ExplicitTraining]
) -> list[str]:
    """The identity of each training; a training's start enters by the start's own identity."""
    identities: list[str] = []
    for training in trainings:
        start = identities[training.initial_training - 1] if training.initial_training else ""
        identities.append(_identity(spec, training.weights, training.grpo, spec.seed, start))
    return identities


def _identity(
    spec: portfolios_pb2.PortfolioSpec,
    weights: types_pb2.Weights,
    grpo: trainer_pb2.GrpoConfig,
    seed: int,
    start: str,
) -> str:
    positive = {trait: weight for trait, weight in weights.values.items() if weight > 0}
    # The trainer's own address also has the versions of the traits and of the base model, which
    # an estimate does not ask for: it may count a training as known that a build will repeat.
    return digest(
        [spec.base_model, spec.training_prompt_set, positive, canonical(grpo), seed, start],
        length=32,
    )


def _finished_before(session: Session, spec: portfolios_pb2.PortfolioSpec) -> set[str]:
    """The identities of the trainings of the same base model that earlier builds finished."""
    finished: set[str] = set()
    query = (
        select(PortfolioRow, TrainingRow)
        .join(TrainingRow, TrainingRow.portfolio == PortfolioRow.id)
        .order_by(PortfolioRow.id, TrainingRow.position)
    )
    known: dict[tuple[str, int], str] = {}
    specs: dict[str, portfolios_pb2.PortfolioSpec] = {}
    for portfolio, row in session.execute(query):
        if portfolio.id not in specs:
            specs[portfolio.id] = spec_of(portfolio)
        earlier = specs[portfolio.id]
        if earlier.base_model != spec.base_model:
            continue
        start = known[portfolio.id, row.initial] if row.initial else ""
        identity = _identity(
            earlier,
            types_pb2.Weights(values=row.weights),
            trainer_pb2.GrpoConfig.FromString(row.grpo),
            earlier.seed if row.seed is None else row.seed,
            start,
        )
        known[portfolio.id, row.position] = identity
        if row.state is TrainingState.READY:
            finished.add(identity)
    return finished
