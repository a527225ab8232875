"""An order of policies and prompts that follows from their rewards.

A bootstrap with a fixed seed depends on the order of its data. With this order, the same rewards
give the same bound, whatever the order in which a file or a database has them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from palmfolio_palm.validation import FloatArray, IntArray

_Codes = NDArray[np.uint64]
# Rewards that differ by less than half of this are the same reward, stored twice.
_RESOLUTION = 1e-9
# Keeps decimal numbers and simple fractions away from where rounding turns.
_SHIFT = 0.3183
# Rounds in which policies and prompts tell each other apart.
_ROUNDS = 3


def canonical_order(rewards: FloatArray, members: IntArray) -> tuple[IntArray, IntArray]:
    """The order of the policies and of the prompts of `rewards` (n, N, d), as indices.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).random((3, 4, 2))
        >>> p, j = canonical_order(X, np.array([0]))
        >>> turned = X[::-1, ::-1]
        >>> q, k = canonical_order(turned, np.array([2]))
        >>> bool((X[np.ix_(p, j)] == turned[np.ix_(q, k)]).all())
        True
    """
    n, prompts, d = rewards.shape
    whole = np.rint(rewards / _RESOLUTION + _SHIFT).astype(np.int64).view(np.uint64)
    codes: _Codes = np.zeros((n, prompts), dtype=np.uint64)
    for trait in range(d):
        codes = _mixed(codes + whole[:, :, trait])
    of_policy: _Codes = np.zeros(n, dtype=np.uint64)
    of_policy[members] = 1
    of_prompt: _Codes = np.zeros(prompts, dtype=np.uint64)
    for _ in range(_ROUNDS):
        # Sums of whole numbers are the same in any order.
        of_policy = _mixed(of_policy + _mixed(codes + of_prompt).sum(axis=1, dtype=np.uint64))
        of_prompt = _mixed(
            of_prompt + _mixed(codes + of_policy[:, None]).sum(axis=0, dtype=np.uint64)
        )
    order = np.argsort(of_policy, kind="stable")
    # Where policies look alike, prompts follow the order that these were given.
    places = np.argsort(order).astype(np.uint64)
    of_prompt = _mixed(of_prompt + _mixed(codes + _mixed(places)[:, None]).sum(axis=0))
    return order, np.argsort(of_prompt, kind="stable")


def _mixed(codes: _Codes) -> _Codes:
    """Spreads numbers over all numbers of 64 bits (the finaliser of SplitMix64)."""
    mixed = codes + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: _Codes = mixed ^ (mixed >> np.uint64(31))
    return result
