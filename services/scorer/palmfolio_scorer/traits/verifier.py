"""Traits that need no neural model: each runs one check of `checks/`."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample, TextField
from palmfolio_scorer.traits.checks.answer import Answer
from palmfolio_scorer.traits.checks.check import Check
from palmfolio_scorer.traits.checks.format import Format
from palmfolio_scorer.traits.checks.language import Language
from palmfolio_scorer.traits.checks.length import Length
from palmfolio_scorer.traits.checks.profanity import Profanity
from palmfolio_scorer.traits.checks.readability import Readability
from palmfolio_scorer.traits.checks.sentiment import Sentiment
from palmfolio_scorer.traits.kind import TextTrait, options_identity

CHECKS: dict[str, type[Check[Any]]] = {
    check.name: check
    for check in (Answer, Format, Language, Length, Profanity, Readability, Sentiment)
}


class VerifierOptions(BaseModel):
    """`check` and that check's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)
    check: str


class Verifier(TextTrait[VerifierOptions]):
    """Raw reward: the check's.

    Example:
        In the trait file:

            - name: brevity
              kind: verifier
              check: length
              unit: characters
              normalisation: {kind: minmax, low: 200, high: 0}
    """

    kind = "verifier"
    options_type = VerifierOptions

    def __init__(self, options: VerifierOptions) -> None:
        """
        Raises:
            ValueError: there is no check of that name, or its options are wrong.
        """
        super().__init__(options)
        if options.check not in CHECKS:
            raise ValueError(f"unknown check {options.check!r}; known: {', '.join(sorted(CHECKS))}")
        check = CHECKS[options.check]
        self.check: Check[Any] = check(check.options_type(**(options.model_extra or {})))

    def load(self, models: ModelStore) -> None:
        """Loads the check's files."""
        self.check.load(models.sources)

    def identity(self) -> dict[str, Any]:
        """The check with its options, its code version and its provenance."""
        return {
            "kind": self.kind,
            "check": self.check.name,
            "code_version": [self.code_version, self.check.code_version],
            "options": options_identity(self.check.options),
            "provenance": self.check.provenance(),
        }

    def fields(self) -> frozenset[TextField]:
        """What the check reads."""
        return self.check.fields

    def reward(self, sample: Sample) -> float:
        """The check's reward."""
        return self.check.reward(sample)
