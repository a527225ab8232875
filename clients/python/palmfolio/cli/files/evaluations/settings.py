"""How a file of evaluations is to be read."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

FIELDS = ("policy", "prompt", "sample", "reference", "cluster")
"""The columns that are no traits."""


class Scale(enum.StrEnum):
    """How values become values in [0, 1]."""

    NONE = "none"
    MINMAX = "minmax"
    ZSCORE = "zscore"


class Missing(enum.StrEnum):
    """What is left out where a value is missing."""

    REFUSE = "refuse"
    POLICIES = "policies"
    TRAITS = "traits"
    PROMPTS = "prompts"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to read evaluations.

    Attributes:
        fields: column by field, for columns with another name than the field; see `FIELDS`.
        format: of the files, whatever their endings.
        traits: the columns that are traits; empty takes every column that is no field.
        lower_is_better: the traits on which a smaller value is better.
        scale: how values become values in [0, 1].
        missing: what is left out where a value is missing. None leaves out the prompts that not
            every policy has, where there are prompts, and otherwise refuses the file.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    format: str | None = None
    traits: tuple[str, ...] = ()
    lower_is_better: tuple[str, ...] = ()
    scale: Scale = Scale.NONE
    missing: Missing | None = None

    def column(self, name: str) -> str:
        """The column of a field."""
        return self.fields.get(name, name)
