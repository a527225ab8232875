"""What is proven about a portfolio, and under which assumptions.

A user is given by weights w over the traits. U(w) is the weighted value of the best candidate for
w, L(w) that of the best member. docs/algorithms.md, section 3, has the computation.
"""

from dataclasses import dataclass, field

from palmfolio.types.weights import Weights


@dataclass(frozen=True, slots=True)
class Certificate:
    """How far a portfolio is from the best candidate, exact over every user."""

    additive: float
    """max over w of (1 - epsilon) U(w) - L(w), at least 0."""
    multiplicative: float
    """max over w of 1 - (L(w) + delta) / U(w), at least 0. NaN where that has no meaning, because
    no candidate gives some w anything."""
    worst_weights: Weights
    """The user who is served worst, by the additive gap; sums to 1."""
    epsilon: float = 0.0
    """The epsilon of `additive`, in [0, 1)."""
    delta: float = 0.0
    """The delta of `multiplicative`, in [0, 1]."""
    gap: float = 0.0
    """max over w of U(w) - L(w): the additive gap at epsilon 0."""
    gap_weights: Weights = field(default_factory=dict)
    """The user who is served worst, by `gap`; sums to 1."""
    corner_weights: int = 0
    """The number of weights at which the gaps were computed. Both functions are piecewise linear,
    so no user between these weights has a larger gap."""
    multiplicative_gap: float | None = None
    """max over w of 1 - L(w) / U(w): the multiplicative gap at delta 0. None where that has no
    meaning, and where an earlier version stored the certificate."""
    method: str | None = None
    """How `gap` was computed: `corners`, `lp` (linear programs) or `whole` (every candidate is a
    member). None where an earlier version stored the certificate."""
    confirmed: bool = False
    """Whether a second way, which shares no step with `method`, proved that no gap is larger."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """What a portfolio is compared with: additive gaps at epsilon 0 over the same candidates."""

    base_model: float
    """The gap when everyone gets the base model; NaN when the base model is not a candidate."""
    best_single_policy: float
    """The gap when everyone gets the one policy that minimises it."""
    best_single_policy_name: str = ""
    """`policies/{id}` of that policy."""


@dataclass(frozen=True, slots=True)
class Optimality:
    """How good a portfolio is among all portfolios of the same candidates."""

    size_lower_bound: int | None
    """No portfolio with fewer members meets the target; None without a target."""
    gap_lower_bound: float = 0.0
    """No portfolio with as many members has a smaller gap; 0 when nothing better is proven."""
    optimal: bool = False
    """Whether the portfolio is proven to be best: smallest for its target, or of the smallest gap
    for its size."""


@dataclass(frozen=True, slots=True)
class Refutation:
    """A training that another policy outdid at the training's own weights."""

    policy: str
    """`policies/{id}` of the training."""
    better_policy: str
    """`policies/{id}` of the policy that is better at these weights."""
    weights: Weights
    shortfall: float = 0.0
    """The training missed at least this share of the best, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class TrainableBound:
    """How far a portfolio is from everything that could be trained, if `alpha` holds."""

    gap: float
    """max over w of (1 - epsilon) B(w) - L(w), at least 0, where B(w) is the most that any policy
    could give w, and epsilon is the spec's."""
    worst_weights: Weights
    """The user with that gap; sums to 1."""
    alpha: float = 0.0
    """The assumption: every training reached (1 - alpha) times the best at its own weights."""
    trainings: int = 0
    """The number of trainings that the bound rests on."""
    target_met: bool = False
    """Whether `gap` is at most the spec's delta."""
    refutations: tuple[Refutation, ...] = ()
    """Trainings that are known to miss the assumption. Without any, it is still not proven."""
    candidates_gap: float = 0.0
    """As `gap`, for all candidates in place of the members."""


@dataclass(frozen=True, slots=True)
class ConfidenceBound:
    """An upper bound on the true gap against all candidates, as prompts are finitely many.

    docs/algorithms.md, section 6, has the methods.
    """

    level: float
    """The probability that the bound holds, over the draw of the prompts, for example 0.95."""
    gap: float
    """Upper bound on the additive gap at epsilon 0; 1 or more says nothing."""
    worst_weights: Weights
    """The user who is served worst according to the means; sums to 1."""
    method: str = ""
    """`likelihood` (empirical likelihood of the differences on prompts), or `hoeffding` (loose)
    where policies are too many; `max_t` in portfolios of earlier versions."""
    prompts: int = 0
    """The number of prompts that the bound rests on."""
    clusters: int = 0
    """Clusters of prompts that were drawn together, each of which counts as one draw; 0 when
    prompts were drawn on their own."""


@dataclass(frozen=True, slots=True)
class PlannedGuarantee:
    """What holds before anything is trained, if every training reaches its spec's alpha.

    L(w) >= (1 - epsilon) B(w) - delta - prompt_error for every w, with B as in `TrainableBound`.
    """

    epsilon: float
    """The multiplicative part, in [0, 1)."""
    delta: float
    """The additive part, in [0, 1]."""
    prompt_error: float = 0.0
    """The additive part from finitely many prompts, at 95 %; 1 or more says nothing."""
