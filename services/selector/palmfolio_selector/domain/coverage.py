"""What the values of candidates rest on, and what was left out for want of rewards."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Exclusion:
    """A policy that is not compared, because too few prompts are complete for it.

    Attributes:
        policy: its name.
        complete: prompts for which it has every reward on every trait.
        reason: for people.
    """

    policy: str
    complete: int
    reason: str


@dataclass(frozen=True)
class Coverage:
    """The prompts and responses behind the values of candidates.

    Attributes:
        prompts: different prompts that were asked.
        compared: of these, those that are complete for every candidate: values are means over them.
        responses: of the candidates, to all prompts.
        unscored: of these, without a reward on at least one trait.
        unscored_by_trait: responses without a reward, by trait; traits without any are left out.
        excluded: policies that were measured and are not candidates.
    """

    prompts: int
    compared: int
    responses: int
    unscored: int = 0
    unscored_by_trait: Mapping[str, int] = field(default_factory=dict)
    excluded: tuple[Exclusion, ...] = ()
