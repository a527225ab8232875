"""Specs of portfolios: their checks and their canonical form."""

from collections.abc import Sequence
from typing import Any, TypeAlias, assert_never

from palmfolio.v1 import portfolios_pb2, trainer_pb2, types_pb2
from palmfolio_runtime import names
from palmfolio_runtime.digest import digest
from palmfolio_runtime.errors import invalid_argument
from palmfolio_runtime.identity import canonical
from palmfolio_runtime.limits import SelectorLimits
from palmfolio_runtime.settings.ranges import Range, Ranges, range_violations
from palmfolio_runtime.settings.sampling import SAMPLING_RANGES, full_sampling
from palmfolio_runtime.settings.training import GRPO_RANGES, SEEDS
from palmfolio_runtime.weights import canonical_weights
from palmfolio_selector.domain.strategy_kind import strategy_kind

Violations = list[tuple[str, str]]
Settings: TypeAlias = dict[str, float | str]
"""Settings of sampling by name, or the source of imported evaluations."""

MIN_TRAITS = 2
_UNIFORM_RANGES: Ranges = {"resolution": Range(0, 1000)}
_ADAPTIVE_RANGES: Ranges = {"parallel": Range(0, 64)}
# Values of fields that ask for the same portfolio as a spec without the field, by field path; see
# `palmfolio_runtime.identity`. A field that is added later with such a value belongs here.
_NEUTRAL: dict[str, Any] = {}
# The same for the settings of sampling: without its neutral value here, a new setting would change
# every digest, and no stored response would be found any more.
_NEUTRAL_SETTINGS: dict[str, Any] = {}


def canonical_spec(
    spec: portfolios_pb2.PortfolioSpec, limits: SelectorLimits, field: str = "spec"
) -> portfolios_pb2.PortfolioSpec:
    """A checked copy in which equal specs are equal messages: defaults filled in, Σ weights = 1.

    Args:
        field: the path of the spec in the request, for the errors.

    Raises:
        ServiceError: INVALID_ARGUMENT naming the fields.
    """
    named = _with_plain_names(spec)
    violations = _violations(named, limits, field)
    if violations:
        raise invalid_argument(*violations)
    return _with_defaults(named, field)


def is_same_spec(stored: portfolios_pb2.PortfolioSpec, spec: portfolios_pb2.PortfolioSpec) -> bool:
    """Whether a stored spec asks for the same portfolio as a canonical one.

    The stored spec may come from an earlier version of the program, which did not know every
    field of today: it is brought to today's canonical form first. Limits do not matter here; a
    portfolio stays what it is when the operator lowers a limit.
    """
    today = _with_defaults(_with_plain_names(stored), "spec")
    return bool(canonical(today, _NEUTRAL) == canonical(spec, _NEUTRAL))


def _with_plain_names(spec: portfolios_pb2.PortfolioSpec) -> portfolios_pb2.PortfolioSpec:
    """A copy with the traits' names without `traits/`, and with a strategy."""
    named = portfolios_pb2.PortfolioSpec()
    named.CopyFrom(spec)
    del named.traits[:]
    named.traits.extend(names.TRAITS.short(trait) for trait in spec.traits)
    if spec.strategy.WhichOneof("kind") is None:
        named.strategy.adaptive.SetInParent()
    return named


def _with_defaults(spec: portfolios_pb2.PortfolioSpec, field: str) -> portfolios_pb2.PortfolioSpec:
    """A copy of a valid spec with full sampling settings and canonical weights."""
    full = portfolios_pb2.PortfolioSpec()
    full.CopyFrom(spec)
    full.sampling.CopyFrom(full_sampling(spec.sampling))
    if strategy_kind(full) == "explicit":
        for position, training in enumerate(full.strategy.explicit.trainings):
            path = f"{field}.strategy.explicit.trainings[{position}].weights"
            given = canonical_weights(training.weights.values, full.traits, path)
            # With every trait: weights that leave a trait out equal weights that give it 0.
            weights = {trait: given.get(trait, 0.0) for trait in full.traits}
            training.weights.CopyFrom(types_pb2.Weights(values=weights))
    return full


def sampling_violations(sampling: trainer_pb2.SamplingConfig, field: str) -> Violations:
    """The settings that are out of range, each with what is allowed."""
    return range_violations(sampling, SAMPLING_RANGES, field)


def _violations(
    spec: portfolios_pb2.PortfolioSpec, limits: SelectorLimits, field: str
) -> Violations:
    """Every field of a spec that is wrong, with what is allowed."""
    violations: Violations = []
    if not spec.base_model:
        violations.append((f"{field}.base_model", "is required: a base model of the trainer"))
    violations += _trait_violations(spec.traits, limits, f"{field}.traits")
    for name in ("training_prompt_set", "evaluation_prompt_set"):
        prompt_set = getattr(spec, name)
        problem = (
            names.PROMPT_SETS.problem(prompt_set) if prompt_set else "is required: promptSets/ID"
        )
        if problem:
            violations.append((f"{field}.{name}", problem))
    for name, high, allowed in (("epsilon", 1.0, "[0, 1)"), ("delta", None, "[0, 1]")):
        value = getattr(spec, name)
        if not (0 <= value <= 1) or value == high:
            violations.append((f"{field}.{name}", f"{value} is not in {allowed}"))
    if not 0 <= spec.alpha < 1:
        violations.append((f"{field}.alpha", f"{spec.alpha} is not in [0, 1)"))
    for name in ("max_size", "max_trainings"):
        if getattr(spec, name) < 0:
            violations.append((f"{field}.{name}", f"{getattr(spec, name)} is not a number >= 0"))
    if spec.seed not in SEEDS:
        violations.append((f"{field}.seed", f"{spec.seed} is not {SEEDS}"))
    violations += range_violations(spec.grpo, GRPO_RANGES, f"{field}.grpo")
    violations += sampling_violations(spec.sampling, f"{field}.sampling")
    return violations + _strategy_violations(spec, field)


def _trait_violations(traits: Sequence[str], limits: SelectorLimits, field: str) -> Violations:
    most = limits.max_traits_per_selection
    if not MIN_TRAITS <= len(traits) <= most:
        return [(field, f"{len(traits)} traits; {MIN_TRAITS} to {most} are allowed")]
    if len(set(traits)) < len(traits) or not all(traits):
        return [(field, "names must be non-empty and different from each other")]
    return []


def _strategy_violations(spec: portfolios_pb2.PortfolioSpec, field: str) -> Violations:
    kind = strategy_kind(spec)
    path = f"{field}.strategy"
    if kind == "grid":
        return _zero_violations(spec, field, "grid strategy", "epsilon", "delta")
    if kind == "uniform":
        uniform = spec.strategy.uniform
        if not uniform.resolution:
            return _zero_violations(spec, field, "uniform strategy without a resolution", "delta")
        return range_violations(uniform, _UNIFORM_RANGES, f"{path}.uniform")
    if kind == "adaptive":
        return range_violations(spec.strategy.adaptive, _ADAPTIVE_RANGES, f"{path}.adaptive")
    if kind == "explicit":
        return _training_violations(spec.strategy.explicit.trainings, f"{path}.explicit.trainings")
    assert_never(kind)


def _training_violations(
    trainings: Sequence[portfolios_pb2.ExplicitTraining], field: str
) -> Violations:
    if not trainings:
        return [(field, "is required: at least one training")]
    violations: Violations = []
    for position, training in enumerate(trainings, start=1):
        path = f"{field}[{position - 1}]"
        violations += range_violations(training.grpo, GRPO_RANGES, f"{path}.grpo")
        if not 0 <= training.initial_training < position:
            allowed = f"0 to {position - 1}: an earlier entry, counted from 1, or 0 for none"
            violations.append(
                (f"{path}.initial_training", f"{training.initial_training} is not {allowed}")
            )
    return violations


def _zero_violations(
    spec: portfolios_pb2.PortfolioSpec, field: str, strategy: str, *fields: str
) -> Violations:
    return [
        (f"{field}.{name}", f"must be > 0 for the {strategy}")
        for name in fields
        if getattr(spec, name) == 0
    ]


def sampling_settings(sampling: trainer_pb2.SamplingConfig) -> Settings:
    """What a response depends on in addition to the policy and the prompt.

    Stored responses are found by the digest of these settings (`settings_digest`).

    Args:
        sampling: with every field set, see `full_sampling`.
    """
    # How many samples there are changes none of them.
    return {
        field.name: value
        for field, value in sampling.ListFields()
        if field.name != "samples_per_prompt"
    }


def source_settings(source: str) -> Settings:
    """The settings that identify imported evaluations: their source, and nothing else is known."""
    return {"source": source}


def settings_digest(settings: Settings) -> str:
    """The digest by which settings are stored; the same in every version of the program."""
    return digest(canonical(settings, _NEUTRAL_SETTINGS))
