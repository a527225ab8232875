"""The content of a report: a portfolio, the answers that users get, and how long it took."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from palmfolio._names import resource_id
from palmfolio.errors import ConfigurationError
from palmfolio.types import (
    Baselines,
    Candidate,
    Certificate,
    ConfidenceBound,
    Coverage,
    DiversityFigures,
    OutputDiversity,
    Portfolio,
    TradeoffPoint,
    TrainableBound,
    Weights,
)

# Differences up to this size come from rounding, and are shown as no gap.
_NOTHING = 1e-6


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a user, with the normalised reward per trait where it is known."""

    prompt: str
    text: str
    rewards: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class User:
    """Someone's weights, the member that serves them, and its answers.

    Example:
        answer = palmfolio.report.Answer("Say hello.", "Hello!", {"brevity": 0.9})
        weights = {"brevity": 1.0}
        user = palmfolio.report.User("wants brevity", weights, "policies/5f3a9c", (answer,))
    """

    label: str
    weights: Weights
    """Sum to 1."""
    policy: str
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that `render` and `summary` need.

    Raises:
        ConfigurationError: the portfolio is not ready, so that there is nothing to report.

    Example:
        portfolio = client.selector.get_portfolio("quickstart")
        report = palmfolio.report.Report(portfolio)
        print(report.certificate.gap, report.worst_weights)
    """

    portfolio: Portfolio
    users: tuple[User, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds that each stage took."""
    tradeoff: tuple[TradeoffPoint, ...] = ()
    """The smallest gap by size, from 1; the page shows it when there is any."""

    def __post_init__(self) -> None:
        ready = self.portfolio.certificate and self.portfolio.baselines and self.members
        if not ready:
            raise ConfigurationError(
                f"{self.portfolio.name} is {self.portfolio.state}; only a ready portfolio has a "
                "report: build it first"
            )

    @property
    def traits(self) -> tuple[str, ...]:
        """The d traits, in the order of the spec."""
        return self.portfolio.spec.traits

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every policy that was measured, members first."""
        return self.portfolio.candidates

    @property
    def members(self) -> tuple[Candidate, ...]:
        """The policies in the portfolio."""
        return self.portfolio.members

    @property
    def base_model(self) -> Candidate | None:
        """The unchanged model, when it is a candidate."""
        return next((item for item in self.candidates if item.is_base_model), None)

    @property
    def certificate(self) -> Certificate:
        """How far the portfolio is from the best candidate."""
        assert self.portfolio.certificate is not None
        return self.portfolio.certificate

    @property
    def baselines(self) -> Baselines:
        """The simpler choices that the portfolio is compared with."""
        assert self.portfolio.baselines is not None
        return self.portfolio.baselines

    @property
    def worst_weights(self) -> Weights | None:
        """The user who loses most at epsilon 0; None when no one loses anything."""
        certificate = self.certificate
        if certificate.gap <= _NOTHING:
            return None
        return certificate.gap_weights or certificate.worst_weights

    def vector(self, by_trait: Mapping[str, float]) -> tuple[float, ...]:
        """Numbers by trait as a tuple in the order of `traits`; 0 where there is none."""
        return tuple(by_trait.get(trait, 0.0) for trait in self.traits)

    def label(self, policy: str) -> str:
        """`A`, `B`, … for members in their order, the end of the id for other policies."""
        for index, member in enumerate(self.members):
            if member.policy == policy:
                return letter(index)
        return short(policy)


def letter(index: int) -> str:
    """A, B, … Z, then A1, B1, …"""
    round_, position = divmod(index, 26)
    return chr(ord("A") + position) + (str(round_) if round_ else "")


def short(name: str) -> str:
    """The first characters of a resource name's id, enough to distinguish ids."""
    return resource_id(name)[:12]


def summary(report: Report) -> dict[str, Any]:
    """The report as plain data, as `portfolio.json` holds it.

    `policies` are the members; `candidates` counts everything that was measured; all gaps are
    additive and against all candidates. `coverage` counts the prompts that were compared and the
    responses and policies that lack rewards. `confidence` bounds the true gap over the draw of the
    prompts, `trainable` the gap against all that could be trained; `tradeoff` has the smallest gap
    by size, from 1; `output_diversity` says how different the members' answers are, next to the
    uniform and random portfolios of the same size. A figure without a meaning is null: the
    multiplicative gap where some weighting gets nothing from any candidate, the base model's where
    it is not a candidate, and what was not computed.

    Example:
        portfolio = client.selector.get_portfolio("quickstart")
        print(palmfolio.report.summary(palmfolio.report.Report(portfolio))["certificate"])
    """
    certificate, baselines = report.certificate, report.baselines
    return {
        "portfolio": resource_id(report.portfolio.name),
        "traits": list(report.traits),
        "policies": [_policy(report.traits, member) for member in report.members],
        "candidates": len(report.candidates),
        "certificate": {
            "additive": certificate.additive,
            "multiplicative": _finite(certificate.multiplicative),
            "gap": certificate.gap,
            "multiplicative_gap": certificate.multiplicative_gap,
            "method": certificate.method,
            "confirmed": certificate.confirmed,
            "worst_weights": dict(certificate.worst_weights),
        },
        "baselines": {
            "base_model": _finite(baselines.base_model),
            "best_single_policy": baselines.best_single_policy,
        },
        "coverage": _coverage(report.portfolio.coverage),
        "confidence": _confidence(report.portfolio.confidence),
        "trainable": _trainable(report.portfolio.trainable),
        "output_diversity": _output_diversity(report.portfolio.output_diversity),
        "tradeoff": [_tradeoff_point(point) for point in report.tradeoff],
        "seconds": {stage: round(seconds, 2) for stage, seconds in report.seconds.items()},
    }


def _tradeoff_point(point: TradeoffPoint) -> dict[str, Any]:
    """A point of the trade-off curve as plain data; its policies are ids."""
    return {
        "size": point.size,
        "gap": point.gap,
        "multiplicative_gap": point.multiplicative_gap,
        "gap_lower_bound": point.gap_lower_bound,
        "optimal": point.optimal,
        "policies": [resource_id(policy) for policy in point.policies],
        "worst_weights": dict(point.worst_weights),
    }


def _confidence(bound: ConfidenceBound | None) -> dict[str, Any] | None:
    if bound is None:
        return None
    return {
        "level": bound.level,
        "gap": bound.gap,
        "method": bound.method,
        "prompts": bound.prompts,
        "clusters": bound.clusters or None,
        "worst_weights": dict(bound.worst_weights),
    }


def _coverage(counted: Coverage | None) -> dict[str, Any] | None:
    if counted is None:
        return None
    return {
        "prompts": counted.prompts,
        "compared_prompts": counted.compared_prompts,
        "responses": counted.responses,
        "unscored_responses": counted.unscored_responses,
        "unscored_by_trait": dict(counted.unscored_by_trait),
        "excluded_policies": [
            {
                "policy": resource_id(each.policy),
                "complete_prompts": each.complete_prompts,
                "reason": each.reason,
            }
            for each in counted.excluded_policies
        ],
    }


def _trainable(bound: TrainableBound | None) -> dict[str, Any] | None:
    if bound is None:
        return None
    return {
        "gap": bound.gap,
        "alpha": bound.alpha,
        "trainings": bound.trainings,
        "refuted": [resource_id(item.policy) for item in bound.refutations],
        "worst_weights": dict(bound.worst_weights),
    }


def _output_diversity(measured: OutputDiversity | None) -> dict[str, Any] | None:
    """The figures of each portfolio, with what they were measured on."""
    if measured is None:
        return None
    uniform = measured.uniform
    return {
        "groups": measured.groups,
        "portfolio": _diversity_figures(measured.portfolio),
        "uniform": None if uniform is None else _diversity_figures(uniform),
        "random": _diversity_figures(measured.random) | {"draws": measured.random_draws},
        "embedding_trait": measured.embedding_trait,
        "embedding_trait_version": measured.embedding_trait_version,
        "embedding_problem": measured.embedding_problem,
    }


def _diversity_figures(figures: DiversityFigures) -> dict[str, Any]:
    """The figures of one portfolio; its policies are ids."""
    distinct = {
        f"distinct_{n}": _finite(share) for n, share in enumerate(figures.distinct, start=1)
    }
    return {
        **distinct,
        "self_bleu": figures.self_bleu,
        "embedding_distance": figures.embedding_distance,
        "policies": [resource_id(policy) for policy in figures.policies],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _policy(traits: Sequence[str], candidate: Candidate) -> dict[str, Any]:
    weights = candidate.weights or {}
    return {
        "id": resource_id(candidate.policy),
        "weights": {trait: weights[trait] for trait in traits if trait in weights},
        "value": {trait: candidate.value[trait] for trait in traits if trait in candidate.value},
        "adapter": candidate.adapter,
    }
