"""A trait that combines others."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import ConfigDict, Field, FiniteFloat, model_validator

from palmfolio_scorer.traits.kind import FloatArray, Trait, TraitOptions


class CompositeOptions(TraitOptions):
    """Options of `composite`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    of: Mapping[str, FiniteFloat] = Field(min_length=1)
    """Trait names and their weights (in a product: exponents)."""
    combine: Literal["sum", "product"] = "sum"
    rewards: Literal["normalised", "raw"] = "normalised"
    """The parts' rewards that are combined; a product takes normalised rewards only."""
    clip: tuple[FiniteFloat, FiniteFloat] | None = None
    """Bounds of the combined reward."""

    @model_validator(mode="after")
    def _valid_combination(self) -> "CompositeOptions":
        if self.combine == "product" and (
            self.rewards == "raw" or any(weight < 0 for weight in self.of.values())
        ):
            raise ValueError("a product takes normalised rewards and exponents >= 0")
        if self.clip and self.clip[0] >= self.clip[1]:
            raise ValueError("clip must be [low, high] with low < high")
        return self


class Composite(Trait[CompositeOptions]):
    """Raw reward: the weighted sum or product of other traits' rewards, clipped.

    A sample that one part cannot score has no reward here either.

    Example:
        In the trait file, where `helpful` and `harmless` are declared too:

            - name: overall
              kind: composite
              of: {helpful: 0.7, harmless: 0.3}
              normalisation: {kind: identity}
    """

    kind = "composite"
    options_type = CompositeOptions

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the traits that are combined."""
        return tuple(self.options.of)

    def combine(self, rewards: FloatArray) -> FloatArray:
        """Raw rewards (N,) from the parts' rewards (N, parts), in the order of `parts`."""
        weights = np.array(list(self.options.of.values()))
        if self.options.combine == "sum":
            combined: FloatArray = rewards @ weights
        else:
            combined = np.prod(np.power(rewards, weights), axis=1)
        return np.clip(combined, *self.options.clip) if self.options.clip else combined
