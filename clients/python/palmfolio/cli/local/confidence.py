"""How sure a gap is that was measured on finitely many prompts; needs numpy and scipy."""

from dataclasses import dataclass

from palmfolio.cli.files.evaluation_table import Table

LEVEL = 0.95
#: Bounds over all pairs of policies take too long for more policies than this.
_PAIRS_MOST = 150


@dataclass(frozen=True, slots=True)
class Confidence:
    """Upper bound on the true additive gap at epsilon, over the draw of the prompts.

    Attributes:
        level: the probability that the bound holds.
        additive: the bound, in [0, 1].
        method: `max_t`, or `hoeffding` (much looser) for many policies.
        prompts: that it rests on.
    """

    level: float
    additive: float
    method: str
    prompts: int


def confidence(table: Table, members: tuple[int, ...], epsilon: float) -> Confidence | None:
    """The bound of a portfolio that was chosen on the same prompts.

    Returns:
        None for a table without prompts, or with a single one.
    """
    if table.rewards is None or len(table.rewards[0]) < 2:
        return None
    from palmfolio_palm.certificates.confidence import certificate_ucb

    few = len(table.policies) <= _PAIRS_MOST
    found = certificate_ucb(
        table.rewards, members, LEVEL, "max_t" if few else "hoeffding", eps=epsilon
    )
    return Confidence(LEVEL, min(1.0, found.bound), found.method, found.prompts)
