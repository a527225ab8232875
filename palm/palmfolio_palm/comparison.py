"""Which policies are compared, and on which prompts, where rewards are missing.

The rule, with an example in numbers: docs/missing-rewards.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palmfolio_palm.validation import TOLERANCE, IntArray

# A policy that is complete on fewer of the scorable prompts says too little about itself, and would
# take too many prompts away from the others.
MIN_COMPLETE_SHARE = 0.9
# Fewer prompts than this share of the scorable ones say too little about everybody.
MIN_COMMON_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Comparison:
    """The policies and prompts that remain of n policies and N prompts.

    Attributes:
        policies: (k,) rows that are compared, increasing.
        prompts: (m,) columns that are complete for each of them, increasing.
        complete: (n,) prompts that are complete for each policy.
        scorable: prompts that are complete for at least one policy.

    Example:
        >>> chosen = compare([[1, 1, 0], [1, 0, 1], [0, 0, 0]])
        >>> chosen.complete.tolist(), chosen.scorable
        ([2, 2, 0], 3)
    """

    policies: IntArray
    prompts: IntArray
    complete: IntArray
    scorable: int


def compare(complete: ArrayLike) -> Comparison:
    """Leaves out the policies that lack too much, then the prompts that one of the others lacks.

    A prompt that no policy has complete says nothing about any of them, and counts against none.
    A policy is left out when it is complete on less than `MIN_COMPLETE_SHARE` of the prompts that
    are left. Further ones, those with the fewest complete prompts first, are left out while less
    than `MIN_COMMON_SHARE` of them are complete for all.

    Args:
        complete: (n, N), whether a policy has every reward on every trait for a prompt.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> chosen = compare([[1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0]])
        >>> chosen.policies.tolist(), chosen.prompts.tolist(), chosen.scorable
        ([0, 1], [0, 1, 2], 3)
    """
    table = np.asarray(complete)
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"complete must be a (policies, prompts) array, got shape {table.shape}")
    has: NDArray[np.bool_] = table.astype(np.bool_)
    counts = has.sum(axis=1)
    scorable = int(has.any(axis=0).sum())
    kept = (counts > 0) & (counts >= MIN_COMPLETE_SHARE * scorable - TOLERANCE)
    lacking = (~has[kept]).sum(axis=0)
    # The last of those with the fewest complete prompts goes first.
    order = sorted(np.flatnonzero(kept), key=lambda row: (counts[row], -row))
    least = MIN_COMMON_SHARE * scorable
    for row in order:
        if (lacking == 0).sum() >= least or kept.sum() <= 1:
            break
        kept[row] = False
        lacking = lacking - ~has[row]
    common = (lacking == 0) if kept.any() else np.zeros(has.shape[1], dtype=np.bool_)
    return Comparison(
        policies=np.flatnonzero(kept),
        prompts=np.flatnonzero(common),
        complete=counts,
        scorable=scorable,
    )
