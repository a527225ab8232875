"""The values of the candidates that a selection chooses from."""

from dataclasses import dataclass

from palmfolio_palm.validation import FloatArray
from palmfolio_selector.domain.coverage import Coverage


@dataclass(frozen=True, eq=False)
class Values:
    """Measured candidates.

    Attributes:
        names: policies, the rows of V.
        traits: the columns of V.
        V: (n, d) mean rewards in [0, 1].
        base: the row of the base model's policy; None when it is not a candidate.
        coverage: what V rests on; None where an earlier version of the program selected.
    """

    names: tuple[str, ...]
    traits: tuple[str, ...]
    V: FloatArray
    base: int | None
    coverage: Coverage | None = None

    def of(self, index: int) -> dict[str, float]:
        """The value of one candidate by trait."""
        return dict(zip(self.traits, map(float, self.V[index]), strict=True))
