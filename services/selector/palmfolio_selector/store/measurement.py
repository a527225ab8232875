"""How a stored portfolio's candidates are measured."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2
from palmfolio_runtime import names
from palmfolio_runtime.settings.sampling import full_sampling
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.domain.spec import Settings, sampling_settings, source_settings
from palmfolio_selector.store import evaluations, prompt_sets
from palmfolio_selector.store.tables import PortfolioRow


def spec_of(row: PortfolioRow) -> portfolios_pb2.PortfolioSpec:
    """The portfolio's canonical spec."""
    spec = portfolios_pb2.PortfolioSpec.FromString(row.spec)
    # An earlier version of the program stored it without the settings that it did not know.
    spec.sampling.CopyFrom(full_sampling(spec.sampling))
    return spec


def find(session: Session, row: PortfolioRow) -> Measurement | None:
    """How the portfolio's candidates are measured.

    None until the versions of its traits are known; before that, no candidate can be measured.
    """
    if row.trait_versions is None:
        return None
    spec = spec_of(row)
    sampling = evaluations.find_sampling(session, _settings(row, spec))
    traits = evaluations.find_traits(session, _versions(row.trait_versions, spec))
    if sampling is None or traits is None:
        return None
    prompt_set = names.PROMPT_SETS.id(spec.evaluation_prompt_set)
    return Measurement(
        prompt_set=prompt_set,
        prompts=prompt_sets.distinct_size(session, prompt_set),
        sampling=sampling,
        samples=spec.sampling.samples_per_prompt,
        traits=traits,
    )


def ensure(session: Session, row: PortfolioRow) -> None:
    """Adds the keys that `find` needs; the versions of the portfolio's traits must be known."""
    assert row.trait_versions is not None
    spec = spec_of(row)
    evaluations.ensure_sampling(session, _settings(row, spec))
    evaluations.ensure_traits(session, _versions(row.trait_versions, spec))


def _settings(row: PortfolioRow, spec: portfolios_pb2.PortfolioSpec) -> Settings:
    return source_settings(row.source) if row.source else sampling_settings(spec.sampling)


def _versions(versions: Mapping[str, str], spec: portfolios_pb2.PortfolioSpec) -> dict[str, str]:
    return {trait: versions[trait] for trait in spec.traits}
