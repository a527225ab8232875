"""How policies are measured."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """What a policy's value depends on, other than the policy: prompts, sampling and traits.

    Attributes:
        prompt_set: the id of the set of evaluation prompts.
        prompts: the number of different prompts in the set.
        sampling: the key of the sampling settings, or of the source of imported evaluations.
        samples: responses to each prompt.
        traits: the key of each trait's version, in the order of the values' columns.
    """

    prompt_set: str
    prompts: int
    sampling: int
    samples: int
    traits: Mapping[str, int]

    @property
    def responses(self) -> int:
        """Responses that a policy must have."""
        return self.prompts * self.samples

    @property
    def rewards(self) -> int:
        """Rewards that a policy must have."""
        return self.responses * len(self.traits)
