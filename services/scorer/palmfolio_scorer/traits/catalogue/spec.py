"""The trait file: one entry per trait, read from YAML."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from palmfolio_runtime.config import ConfigError, parse_yaml
from palmfolio_scorer.calibration.normalisation import Normalisation
from palmfolio_scorer.traits.kind import TraitConfigError


class TraitSpec(BaseModel):
    """One entry of `traits:`. Every other key is an option of the kind.

    Example:
        >>> spec = TraitSpec(
        ...     name="brevity",
        ...     kind="verifier",
        ...     normalisation={"kind": "minmax", "low": 200, "high": 0},
        ...     check="length",
        ... )
        >>> spec.options
        {'check': 'length'}
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    kind: str
    """The name of a trait kind; `traits/registry.py` knows them all."""
    description: str = ""
    """For people; not part of the trait's version."""
    normalisation: Normalisation
    empty_response: FiniteFloat | Literal["judged", "unscorable"] | None = None
    """What a response that says nothing gets: a raw reward, which is normalised like any other;
    `unscorable`, no reward; or `judged`, what the trait makes of such a text. None leaves it to
    the kind. Part of the trait's version where it is not None."""

    @property
    def options(self) -> dict[str, Any]:
        """The kind's options."""
        return dict(self.model_extra or {})


def read_traits(path: Path) -> list[TraitSpec]:
    """Reads a trait file: a YAML mapping with a list `traits`.

    Raises:
        TraitConfigError: the file cannot be read or an entry is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TraitConfigError(f"cannot read {path}: {error}") from error
    return parse_traits(text, str(path))


def parse_traits(text: str, path: str) -> list[TraitSpec]:
    """Reads the text of a trait file; error messages name it by `path`.

    Raises:
        TraitConfigError: the text is not YAML or an entry is wrong.
    """
    try:
        loaded = parse_yaml(text)
    except ConfigError as error:
        raise TraitConfigError(f"cannot read {path}: {error}") from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get("traits"), list):
        raise TraitConfigError(f"{path} must be a mapping with a list `traits`")
    specs = []
    for i, entry in enumerate(loaded["traits"]):
        try:
            specs.append(TraitSpec.model_validate(entry))
        except ValidationError as error:
            issue = error.errors()[0]
            field = ".".join(["", *(str(part) for part in issue["loc"])])
            raise TraitConfigError(f"{path}: traits[{i}]{field}: {issue['msg']}") from error
    return specs
