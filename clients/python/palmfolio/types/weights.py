"""A user's weights."""

from collections.abc import Mapping

Weights = Mapping[str, float]
"""Weight >= 0 by trait name, in any scale: servers normalise them to sum to 1."""
