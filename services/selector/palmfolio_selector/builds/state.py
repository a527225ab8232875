"""Reading what exists, for the plan."""

from sqlalchemy.orm import Session

from palmfolio.v1 import selector_pb2
from palmfolio_runtime import names
from palmfolio_selector.builds.plan import Facts, Measured, Training
from palmfolio_selector.domain.spec import sampling_settings, source_settings
from palmfolio_selector.store import evaluations, portfolios, prompt_sets
from palmfolio_selector.store.evaluations import Measurement
from palmfolio_selector.store.tables import PortfolioRow


def spec_of(row: PortfolioRow) -> selector_pb2.PortfolioSpec:
    """The portfolio's canonical spec."""
    return selector_pb2.PortfolioSpec.FromString(row.spec)


def measurement(session: Session, row: PortfolioRow) -> Measurement:
    """How the portfolio's candidates are measured; the trait versions must be known."""
    assert row.trait_versions is not None
    spec = spec_of(row)
    prompt_set = names.PROMPT_SETS.id(spec.evaluation_prompt_set)
    versions = {trait: row.trait_versions[trait] for trait in spec.traits}
    origin = source_settings(row.source) if row.source else sampling_settings(spec.sampling)
    return Measurement(
        prompt_set=prompt_set,
        prompts=prompt_sets.distinct_size(session, prompt_set),
        sampling=evaluations.sampling_key(session, origin),
        samples=spec.sampling.samples_per_prompt,
        traits=evaluations.trait_keys(session, versions),
    )


def _may_add_trainings(spec: selector_pb2.PortfolioSpec) -> bool:
    """Whether the strategy may want more than its first trainings."""
    return spec.strategy.WhichOneof("kind") != "explicit"


def read(session: Session, portfolio: str) -> Facts:
    """What exists for a portfolio."""
    row = portfolios.get(session, portfolio)
    trainings = tuple(
        Training(row.position, row.initial, row.state, row.policy)
        for row in portfolios.trainings(session, portfolio)
    )
    if row.trait_versions is None:
        return Facts(False, "", trainings, False, {}, 0, 0)
    how = measurement(session, row)
    policies = [training.policy for training in trainings if training.policy]
    names = list(dict.fromkeys([row.base_policy, *policies]))
    counts = evaluations.progress(session, how, names)
    return Facts(
        prepared=True,
        base_policy=row.base_policy,
        trainings=trainings,
        exploring=not row.explored and _may_add_trainings(spec_of(row)),
        measured={name: Measured(*count) for name, count in counts.items()},
        responses=how.responses,
        traits=len(how.traits),
    )
