"""The candidates of a selection: a `CandidateSet` read from the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, evaluations_pb2, portfolios_pb2
from palmfolio_runtime import names
from palmfolio_runtime.errors import failed_precondition, invalid_argument
from palmfolio_runtime.limits import SelectorLimits
from palmfolio_runtime.settings.sampling import full_sampling
from palmfolio_selector.domain.coverage import Coverage, Exclusion
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.domain.spec import (
    sampling_settings,
    sampling_violations,
    source_settings,
)
from palmfolio_selector.domain.values import Values
from palmfolio_selector.store import (
    completeness,
    evaluations,
    measurement,
    portfolios,
    prompt_sets,
)
from palmfolio_selector.store import values as stored_values
from palmfolio_selector.store.completeness import Compared
from palmfolio_selector.store.measurement import spec_of
from palmfolio_selector.store.tables import (
    EvaluationRow,
    PolicyRow,
    TraitRow,
)
from palmfolio_selector.store.values import Mean, PromptRewards

_NO_VERSIONS = "no evaluations of this trait are stored; import some, or build a portfolio"


@dataclass(frozen=True)
class Candidates:
    """Measured policies and where their values come from.

    Attributes:
        members: rows of the portfolio's members; empty for stored evaluations.
        incomplete: policies that lack too many rewards, and so are not candidates.
        measurement: behind the values.
        spec: of a portfolio that is selected from them, as far as it is known.
        versions: of the traits.
        source: of imported evaluations; empty otherwise.
    """

    values: Values
    members: tuple[int, ...]
    incomplete: tuple[str, ...]
    measurement: Measurement
    spec: portfolios_pb2.PortfolioSpec
    versions: Mapping[str, str]
    source: str


def load(
    session: Session,
    wanted: evaluations_pb2.CandidateSet,
    limits: SelectorLimits,
    field: str = "candidates",
) -> Candidates:
    """Reads a candidate set.

    Raises:
        ServiceError: INVALID_ARGUMENT naming the field; NOT_FOUND for an unknown portfolio or
            prompt set; FAILED_PRECONDITION for a portfolio that is not ready and for policies
            that lack evaluations.
    """
    kind = wanted.WhichOneof("kind")
    if kind == "portfolio":
        return _of_portfolio(session, names.PORTFOLIOS.parse(wanted.portfolio, field))
    if kind == "evaluations":
        return _of_evaluations(session, wanted.evaluations, limits, f"{field}.evaluations")
    raise invalid_argument((field, "is required: a portfolio, or stored evaluations"))


def rewards_by_prompt(session: Session, candidates: Candidates) -> PromptRewards:
    """Mean rewards of the candidates on the prompts that all have rewards for."""
    return stored_values.by_prompt(session, candidates.measurement, candidates.values.names)


def _of_portfolio(session: Session, identifier: str) -> Candidates:
    row = portfolios.get_ready(session, identifier)
    measured_by = measurement.find(session, row)
    assert measured_by is not None, "the keys are stored before a portfolio is ready"
    spec = spec_of(row)
    chosen_from = portfolios.candidates(session, identifier)
    traits = tuple(spec.traits)
    V = np.array([[candidate.value[trait] for trait in traits] for candidate in chosen_from])
    stored = portfolios_pb2.Portfolio.FromString(row.result or b"")
    # None when the base model's policy could not be measured.
    bases = [index for index, candidate in enumerate(chosen_from) if candidate.policy.is_base_model]
    return Candidates(
        values=Values(
            names=tuple(candidate.policy.name for candidate in chosen_from),
            traits=traits,
            V=V,
            base=bases[0] if bases else None,
            coverage=_stored_coverage(stored.coverage) if stored.HasField("coverage") else None,
        ),
        members=tuple(index for index, candidate in enumerate(chosen_from) if candidate.selected),
        incomplete=(),
        measurement=measured_by,
        spec=spec,
        versions=dict(row.trait_versions or {}),
        source=row.source,
    )


def _of_evaluations(
    session: Session, wanted: evaluations_pb2.StoredEvaluations, limits: SelectorLimits, field: str
) -> Candidates:
    traits = _traits(wanted, limits, field)
    prompt_set = names.PROMPT_SETS.parse(wanted.prompt_set, f"{field}.prompt_set")
    prompt_sets.get(session, prompt_set)
    sampling = _find_sampling(session, wanted, field)
    versions = _versions(session, wanted, traits, sampling, field)
    keys = evaluations.find_traits(session, versions)
    assert sampling is not None and keys is not None, "evaluations of each version are stored"
    measured_by = Measurement(
        prompt_set=prompt_set,
        prompts=prompt_sets.distinct_size(session, prompt_set),
        sampling=sampling,
        samples=_samples(session, wanted, prompt_set, sampling),
        traits=keys,
    )
    means = stored_values.means(session, measured_by)
    complete = [name for name, mean in means.items() if _is_complete(mean, traits)]
    chosen = _compare(session, wanted, measured_by, complete)
    kept = chosen.names
    if len(kept) > limits.max_policies_per_selection:
        most = limits.max_policies_per_selection
        raise invalid_argument(
            (f"{field}.policies", f"{len(kept)} policies; {most} are allowed at most")
        )
    spec = portfolios_pb2.PortfolioSpec(
        traits=traits,
        evaluation_prompt_set=wanted.prompt_set,
        sampling=full_sampling(wanted.sampling),
    )
    spec.sampling.samples_per_prompt = measured_by.samples
    if chosen.dropped:
        on_common = stored_values.means_without(session, measured_by, kept, chosen.dropped)
        V = np.array([on_common[name] for name in kept])
    else:
        V = np.array([[means[name][trait].value for trait in traits] for name in kept])
    return Candidates(
        values=Values(kept, traits, V, _base(session, kept), chosen.coverage),
        members=(),
        incomplete=tuple(each.policy for each in chosen.coverage.excluded),
        measurement=measured_by,
        spec=spec,
        versions=versions,
        source=wanted.source,
    )


def _stored_coverage(message: portfolios_pb2.Coverage) -> Coverage:
    """A stored coverage as a value."""
    return Coverage(
        prompts=message.prompts,
        compared=message.compared_prompts,
        responses=message.responses,
        unscored=message.unscored_responses,
        unscored_by_trait=dict(message.unscored_by_trait),
        excluded=tuple(
            Exclusion(each.policy, each.complete_prompts, each.reason)
            for each in message.excluded_policies
        ),
    )


def _traits(
    wanted: evaluations_pb2.StoredEvaluations, limits: SelectorLimits, field: str
) -> tuple[str, ...]:
    traits = tuple(names.TRAITS.short(trait) for trait in wanted.traits)
    most = limits.max_traits_per_selection
    if not 1 <= len(traits) <= most or len(set(traits)) < len(traits) or not all(traits):
        raise invalid_argument((f"{field}.traits", f"1 to {most} different names are required"))
    unknown = [trait for trait in wanted.trait_versions if trait not in traits]
    if unknown:
        raise invalid_argument(
            *((f"{field}.trait_versions[{trait}]", "is not one of `traits`") for trait in unknown)
        )
    return traits


def _find_sampling(
    session: Session, wanted: evaluations_pb2.StoredEvaluations, field: str
) -> int | None:
    if wanted.source:
        source = names.check_chosen_id(wanted.source, f"{field}.source")
        return evaluations.find_sampling(session, source_settings(source))
    violations = sampling_violations(wanted.sampling, f"{field}.sampling")
    if violations:
        raise invalid_argument(*violations)
    return evaluations.find_sampling(session, sampling_settings(full_sampling(wanted.sampling)))


def _versions(
    session: Session,
    wanted: evaluations_pb2.StoredEvaluations,
    traits: Sequence[str],
    sampling: int | None,
    field: str,
) -> dict[str, str]:
    """The version of each trait: as asked, or the only one that is stored."""
    query = (
        select(TraitRow.name, TraitRow.version)
        .where(
            TraitRow.name.in_(traits),
            select(EvaluationRow.trait)
            .where(EvaluationRow.trait == TraitRow.key, EvaluationRow.sampling == sampling)
            .exists(),
        )
        .order_by(TraitRow.version)
    )
    stored: dict[str, list[str]] = {trait: [] for trait in traits}
    for name, version in session.execute(query):
        stored[name].append(version)
    versions: dict[str, str] = {}
    for position, trait in enumerate(traits):
        asked = wanted.trait_versions.get(trait)
        known = stored[trait]
        if asked is not None and asked in known:
            versions[trait] = asked
        elif asked is None and len(known) == 1:
            versions[trait] = known[0]
        elif not known:
            raise invalid_argument((f"{field}.traits[{position}]", f"{trait}: {_NO_VERSIONS}"))
        else:
            listed = ", ".join(known)
            raise invalid_argument(
                (f"{field}.trait_versions[{trait}]", f"must be one of the stored ones: {listed}")
            )
    return versions


def _samples(
    session: Session, wanted: evaluations_pb2.StoredEvaluations, prompt_set: str, sampling: int
) -> int:
    """Samples of each prompt: as asked, or as many as any prompt has."""
    if wanted.sampling.HasField("samples_per_prompt"):
        return wanted.sampling.samples_per_prompt
    return evaluations.most_samples(session, prompt_set, sampling)


def _is_complete(means: Mapping[str, Mean], traits: Sequence[str]) -> bool:
    return all(trait in means and not means[trait].failed for trait in traits)


def _compare(
    session: Session,
    wanted: evaluations_pb2.StoredEvaluations,
    measured_by: Measurement,
    complete: Sequence[str],
) -> Compared:
    """Compares the policies that were asked for, or all that have any reward.

    Raises:
        ServiceError: FAILED_PRECONDITION when a policy that was asked for by name lacks too many
            rewards, or when no policy has enough.
    """
    every = set(complete)
    if wanted.policies:
        names_wanted = list(dict.fromkeys(wanted.policies))
    else:
        partial = [name for name in _measured(session, measured_by) if name not in every]
        names_wanted = [*complete, *partial]
    chosen = completeness.compared(
        session,
        measured_by,
        [name for name in names_wanted if name in every],
        [name for name in names_wanted if name not in every],
    )
    refused = chosen.coverage.excluded
    if (wanted.policies and refused) or not chosen.names or not chosen.coverage.compared:
        listed = "; ".join(f"{each.policy}: {each.reason}" for each in refused[:5])
        raise failed_precondition(
            errors_pb2.ERROR_REASON_RESOURCE_NOT_READY,
            f"{listed or 'every policy'} lacks rewards: each candidate needs one for each of "
            f"{measured_by.samples} samples and {len(measured_by.traits)} traits, for most of the "
            f"{measured_by.prompts} prompts",
        )
    return chosen


def _measured(session: Session, measured_by: Measurement) -> list[str]:
    """The policies that have any reward under the measurement."""
    measured = select(EvaluationRow.policy).where(
        EvaluationRow.sampling == measured_by.sampling,
        EvaluationRow.trait.in_(measured_by.traits.values()),
    )
    query = select(PolicyRow.name).where(PolicyRow.key.in_(measured)).order_by(PolicyRow.key)
    return list(session.scalars(query))


def _base(session: Session, kept: Sequence[str]) -> int | None:
    query = select(PolicyRow.name).where(PolicyRow.is_base_model)
    bases = set(session.scalars(query))
    return next((index for index, name in enumerate(kept) if name in bases), None)
