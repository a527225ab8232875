"""Prompts that belong together, as one template's do: they count as one draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.validation import FloatArray


def by_group(rewards: FloatArray, clusters: ArrayLike) -> tuple[FloatArray, float]:
    """Rewards (n, G, d) of groups of prompts, and the largest group's size over the mean size.

    The means over groups are those over prompts: a group counts by its size.

    Args:
        rewards: (n, N, d) rewards by prompt.
        clusters: (N,) the group of each prompt; any labels.

    Raises:
        ValueError: naming `clusters`.

    Example:
        >>> import numpy as np
        >>> X = np.array([[[0.0], [1.0], [1.0]]])
        >>> grouped, largest = by_group(X, ["a", "b", "b"])
        >>> bool(np.isclose(grouped.mean(), X.mean())), grouped.shape, round(largest, 3)
        (True, (1, 2, 1), 1.333)
    """
    labels = np.asarray(clusters)
    if labels.shape != (rewards.shape[1],):
        raise ValueError(
            f"clusters must hold one label per prompt, {rewards.shape[1]}, got shape {labels.shape}"
        )
    _, group, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise ValueError("clusters must be at least 2: one says nothing about others")
    means = rewards.mean(axis=1, keepdims=True)
    sums = np.zeros((rewards.shape[0], len(sizes), rewards.shape[2]))
    np.add.at(sums.transpose(1, 0, 2), group.ravel(), (rewards - means).transpose(1, 0, 2))
    size = sizes.mean()
    return means + sums / size, float(sizes.max() / size)
