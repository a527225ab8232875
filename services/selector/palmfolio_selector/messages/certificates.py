"""What selection found, as messages and rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, selector_pb2, types_pb2
from palmfolio_palm.selection import Baselines, Bound, Certified, TargetInfeasible
from palmfolio_palm.validation import FloatArray
from palmfolio_runtime.errors import ServiceError, failed_precondition
from palmfolio_selector.store import policies, portfolios
from palmfolio_selector.store.tables import PortfolioRow, PortfolioState


@dataclass(frozen=True)
class Values:
    """Measured candidates.

    Attributes:
        names: policies, the rows of V.
        traits: the columns of V.
        V: (n, d) values in [0, 1].
        base: the base model's row; None when it is no candidate.
    """

    names: tuple[str, ...]
    traits: tuple[str, ...]
    V: FloatArray
    base: int | None


@dataclass(frozen=True, eq=False)
class Found:
    """A portfolio with everything that is said about it.

    Attributes:
        confidence: None when there are too few prompts or too many candidates.
        trainable: None without trainings.
    """

    chosen: Certified
    baselines: Baselines
    confidence: Bound | None = None
    trainable: selector_pb2.TrainableBound | None = None


def infeasible(error: TargetInfeasible, traits: Sequence[str], hint: str = "") -> ServiceError:
    """FAILED_PRECONDITION for a target that no allowed portfolio meets."""
    listed = ", ".join(
        f"{trait}={weight:.6g}" for trait, weight in zip(traits, error.weights, strict=True)
    )
    advice = "allow more members, or a larger epsilon or delta"
    return failed_precondition(
        errors_pb2.ERROR_REASON_TARGET_INFEASIBLE,
        f"{error}, at weights {listed}: {advice}" + (f"; {hint}" if hint else ""),
        weights=listed,
        best_gap=f"{error.gap:.9g}",
    )


def result(found: Found, values: Values) -> selector_pb2.Portfolio:
    """The part of a portfolio that selection makes, without its candidates."""
    message = selector_pb2.Portfolio(
        certificate=certificate(found.chosen, values.traits),
        baselines=baselines(found.baselines, values.names),
        optimality=selector_pb2.Optimality(
            size_lower_bound=found.chosen.size_lower_bound,
            gap_lower_bound=found.chosen.gap_lower_bound,
            optimal=found.chosen.optimal,
        ),
    )
    if found.trainable is not None:
        message.trainable.CopyFrom(found.trainable)
    if found.confidence is not None:
        message.confidence.CopyFrom(confidence(found.confidence, values.traits))
    return message


def publish(session: Session, row: PortfolioRow, found: Found, values: Values) -> None:
    """Makes a portfolio ready."""
    known = policies.by_name(session, values.names)
    members = set(map(int, found.chosen.members))
    portfolios.set_candidates(
        session,
        row.id,
        [
            (known[values.names[index]], index in members, value_of(values, index))
            for index in order(found.chosen, values)
        ],
    )
    row.result = result(found, values).SerializeToString()
    row.state = PortfolioState.READY
    row.error = None


def order(chosen: Certified, values: Values) -> list[int]:
    """Rows of V, members first."""
    members = set(map(int, chosen.members))
    return sorted(range(len(values.names)), key=lambda index: (index not in members, index))


def value_of(values: Values, index: int) -> dict[str, float]:
    """One candidate's value by trait."""
    return dict(zip(values.traits, map(float, values.V[index]), strict=True))


def certificate(chosen: Certified, traits: Sequence[str]) -> selector_pb2.Certificate:
    """A certificate as the protocol shows it."""
    at_target, plain = chosen.certificate, chosen.plain
    ratio = at_target.multiplicative
    return selector_pb2.Certificate(
        additive=at_target.additive,
        multiplicative=float("nan") if ratio is None else ratio,
        worst_weights=weights(at_target.worst_weights_additive, traits),
        epsilon=at_target.eps,
        delta=at_target.delta,
        gap=plain.additive,
        gap_weights=weights(plain.worst_weights_additive, traits),
        corner_weights=chosen.corners,
    )


def weights(row: FloatArray, traits: Sequence[str]) -> types_pb2.Weights:
    """Weights by trait."""
    return types_pb2.Weights(values=dict(zip(traits, map(float, row), strict=True)))


def baselines(compared: Baselines, names: Sequence[str]) -> selector_pb2.Baselines:
    """Baselines as the protocol shows them."""
    base = compared.base_model
    return selector_pb2.Baselines(
        base_model=float("nan") if base is None else base,
        best_single_policy=compared.best_single,
        best_single_policy_name=names[compared.best_single_index],
    )


def confidence(bound: Bound, traits: Sequence[str]) -> selector_pb2.ConfidenceBound:
    """A confidence bound as the protocol shows it."""
    return selector_pb2.ConfidenceBound(
        level=bound.level,
        gap=bound.gap,
        worst_weights=weights(bound.worst_weights, traits),
        method=bound.method,
        prompts=bound.prompts,
    )
