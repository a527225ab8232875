"""The results of a selection as protocol messages."""

from collections.abc import Sequence
from dataclasses import dataclass

from palmfolio.v1 import errors_pb2, output_diversity_pb2, portfolios_pb2, types_pb2
from palmfolio_palm import Baselines, ConfidenceBound, Selection, TargetInfeasible, rounded_up
from palmfolio_palm.validation import FloatArray
from palmfolio_runtime.errors import ServiceError, failed_precondition
from palmfolio_selector.domain.coverage import Coverage
from palmfolio_selector.domain.values import Values


@dataclass(frozen=True, eq=False)
class SelectionResult:
    """A selected portfolio with its comparisons and bounds.

    Attributes:
        confidence: None when there are too few prompts.
        trainable: None without trainings.
        output_diversity: None where it is not measured.
    """

    chosen: Selection
    baselines: Baselines
    confidence: ConfidenceBound | None = None
    trainable: portfolios_pb2.TrainableBound | None = None
    output_diversity: output_diversity_pb2.OutputDiversity | None = None


def infeasible(error: TargetInfeasible, traits: Sequence[str], hint: str = "") -> ServiceError:
    """FAILED_PRECONDITION for a target that no allowed portfolio meets."""
    listed = ", ".join(
        f"{trait}={weight:.6g}" for trait, weight in zip(traits, error.weights, strict=True)
    )
    gap = rounded_up(error.gap)
    advice = f"allow more members, or raise delta to {gap}, or raise epsilon"
    return failed_precondition(
        errors_pb2.ERROR_REASON_TARGET_INFEASIBLE,
        f"{error}, at weights {listed}: {advice}" + (f"; {hint}" if hint else ""),
        weights=listed,
        best_gap=gap,
    )


def result(selected: SelectionResult, values: Values) -> portfolios_pb2.Portfolio:
    """The part of a portfolio that comes from its selection, without the candidates."""
    message = portfolios_pb2.Portfolio(
        certificate=certificate(selected.chosen, values.traits),
        baselines=baselines(selected.baselines, values.names),
        optimality=portfolios_pb2.Optimality(
            size_lower_bound=selected.chosen.size_lower_bound,
            gap_lower_bound=selected.chosen.gap_lower_bound,
            optimal=selected.chosen.optimal,
        ),
    )
    if values.coverage is not None:
        message.coverage.CopyFrom(coverage(values.coverage))
    if selected.trainable is not None:
        message.trainable.CopyFrom(selected.trainable)
    if selected.output_diversity is not None:
        message.output_diversity.CopyFrom(selected.output_diversity)
    if selected.confidence is not None:
        message.confidence.CopyFrom(confidence(selected.confidence, values.traits))
    return message


def coverage(values: Coverage) -> portfolios_pb2.Coverage:
    """What values rest on, as the protocol shows it."""
    return portfolios_pb2.Coverage(
        prompts=values.prompts,
        compared_prompts=values.compared,
        responses=values.responses,
        unscored_responses=values.unscored,
        unscored_by_trait=values.unscored_by_trait,
        excluded_policies=[
            portfolios_pb2.ExcludedPolicy(
                policy=each.policy, complete_prompts=each.complete, reason=each.reason
            )
            for each in values.excluded
        ],
    )


def chosen_from(chosen: Selection, values: Values) -> list[tuple[str, bool, dict[str, float]]]:
    """The candidates of a selection: (policy, selected, value by trait), members first."""
    members = set(map(int, chosen.members))
    order = sorted(range(len(values.names)), key=lambda index: (index not in members, index))
    return [(values.names[index], index in members, values.of(index)) for index in order]


def certificate(chosen: Selection, traits: Sequence[str]) -> portfolios_pb2.Certificate:
    """A certificate as the protocol shows it."""
    at_target, plain = chosen.certificate, chosen.plain
    ratio = at_target.multiplicative
    return portfolios_pb2.Certificate(
        additive=at_target.additive,
        multiplicative=float("nan") if ratio is None else ratio,
        worst_weights=weights(at_target.worst_weights_additive, traits),
        epsilon=at_target.eps,
        delta=at_target.delta,
        gap=plain.additive,
        gap_weights=weights(plain.worst_weights_additive, traits),
        corner_weights=plain.corners,
        multiplicative_gap=plain.multiplicative,
        method=plain.method,
        confirmed=at_target.confirmed and plain.confirmed,
    )


def weights(row: FloatArray, traits: Sequence[str]) -> types_pb2.Weights:
    """Weights by trait."""
    return types_pb2.Weights(values=dict(zip(traits, map(float, row), strict=True)))


def baselines(compared: Baselines, names: Sequence[str]) -> portfolios_pb2.Baselines:
    """Baselines as the protocol shows them."""
    base = compared.base_model
    return portfolios_pb2.Baselines(
        base_model=float("nan") if base is None else base,
        best_single_policy=compared.best_single,
        best_single_policy_name=names[compared.best_single_index],
    )


def confidence(bound: ConfidenceBound, traits: Sequence[str]) -> portfolios_pb2.ConfidenceBound:
    """A confidence bound as the protocol shows it."""
    return portfolios_pb2.ConfidenceBound(
        level=bound.level,
        gap=bound.bound,
        worst_weights=weights(bound.worst_weights, traits),
        method=bound.method,
        prompts=bound.prompts,
        clusters=bound.clusters or 0,
    )
