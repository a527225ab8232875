"""Normalisations: explicit, versioned, monotonic functions from raw rewards to [0, 1]."""

from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from palmfolio_runtime.identity import left_out

FloatArray = npt.NDArray[np.float64]


class _Normalisation(BaseModel, ABC):
    model_config = ConfigDict(extra="forbid", frozen=True)
    code_version: ClassVar[int] = 1
    kind: str

    def apply(self, raw: FloatArray) -> FloatArray:
        """Normalised rewards in [0, 1], of the shape of `raw`; NaN stays NaN."""
        return np.clip(self._apply(np.asarray(raw, dtype=np.float64)), 0.0, 1.0)

    @abstractmethod
    def _apply(self, raw: FloatArray) -> FloatArray: ...

    @abstractmethod
    def describe(self) -> str:
        """A text for people, for example `minmax(0, 200)`."""

    def falls(self) -> bool:
        """Whether a higher raw reward gives a lower normalised one."""
        return False

    def identity(self) -> dict[str, Any]:
        """Everything that determines the normalised rewards: part of a trait's version.

        A parameter that is added later needs a `Neutral` value, as an option of a trait does.
        """
        form = self.model_dump(mode="json", exclude=left_out(self))
        return {**form, "code_version": self.code_version}


class Identity(_Normalisation):
    """For raw rewards that already lie in [0, 1]; others are clipped.

    Example: `normalisation: {kind: identity}`
    """

    kind: Literal["identity"] = "identity"

    def _apply(self, raw: FloatArray) -> FloatArray:
        return raw

    def describe(self) -> str:
        """A text for people."""
        return "identity"


class MinMax(_Normalisation):
    """Linear from `low` (becomes 0) to `high` (becomes 1), clipped.

    If `low` is above `high`, less is better.

    Example:
        >>> MinMax(low=200, high=0).apply(np.array([0.0, 50.0, 300.0]))
        array([1.  , 0.75, 0.  ])
    """

    kind: Literal["minmax"] = "minmax"
    low: FiniteFloat
    high: FiniteFloat

    @model_validator(mode="after")
    def _not_flat(self) -> "MinMax":
        if self.low == self.high:
            raise ValueError("low and high must differ")
        return self

    def _apply(self, raw: FloatArray) -> FloatArray:
        return (raw - self.low) / (self.high - self.low)

    def falls(self) -> bool:
        """Whether a higher raw reward gives a lower normalised one."""
        return self.low > self.high

    def describe(self) -> str:
        """A text for people."""
        return f"minmax({self.low:g}, {self.high:g})"


class Sigmoid(_Normalisation):
    """1 / (1 + exp(-(raw - centre) / scale)). If the scale is negative, less is better.

    Example:
        >>> Sigmoid(centre=2.0).apply(np.array([2.0]))
        array([0.5])
    """

    kind: Literal["sigmoid"] = "sigmoid"
    centre: FiniteFloat = 0.0
    scale: FiniteFloat = 1.0

    @model_validator(mode="after")
    def _not_flat(self) -> "Sigmoid":
        if self.scale == 0:
            raise ValueError("scale must not be 0")
        return self

    def _apply(self, raw: FloatArray) -> FloatArray:
        # This form does not overflow, as exp would.
        return 0.5 * (1.0 + np.tanh((raw - self.centre) / (2.0 * self.scale)))

    def falls(self) -> bool:
        """Whether a higher raw reward gives a lower normalised one."""
        return self.scale < 0

    def describe(self) -> str:
        """A text for people."""
        return f"sigmoid({self.centre:g}, {self.scale:g})"


class Quantile(_Normalisation):
    """The distribution function of a reference sample, linear between its knots.

    `knots` are raw rewards, strictly increasing; `levels` their normalised values in [0, 1],
    rising, or falling where less is better. Beyond the outer knots the outer levels hold.

    Example:
        >>> Quantile(knots=(0, 10), levels=(0, 1)).apply(np.array([5.0, 20.0]))
        array([0.5, 1. ])
    """

    kind: Literal["quantile"] = "quantile"
    knots: tuple[FiniteFloat, ...] = Field(min_length=2, max_length=4096)
    levels: tuple[Annotated[FiniteFloat, Field(ge=0, le=1)], ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _monotonic(self) -> "Quantile":
        if len(self.knots) != len(self.levels):
            raise ValueError(f"{len(self.knots)} knots need as many levels, not {len(self.levels)}")
        steps = np.diff(self.levels)
        if np.any(np.diff(self.knots) <= 0) or (np.any(steps < 0) and np.any(steps > 0)):
            raise ValueError(
                "knots must be strictly increasing; levels must only rise, or only fall"
            )
        return self

    def _apply(self, raw: FloatArray) -> FloatArray:
        return np.interp(raw, self.knots, self.levels)

    def falls(self) -> bool:
        """Whether a higher raw reward gives a lower normalised one."""
        return self.levels[0] > self.levels[-1]

    def describe(self) -> str:
        """A text for people."""
        return f"quantile({len(self.knots)} knots, {self.knots[0]:g} to {self.knots[-1]:g})"


Normalisation = Annotated[
    Identity | MinMax | Sigmoid | Quantile,
    Field(discriminator="kind"),
]
