"""The check `language`: whether a response is in a language."""

from importlib.metadata import version
from typing import Any, ClassVar

from pydantic import Field

from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.sources import ModelSources
from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.checks.check import Check, CheckOptions

MIN_PROBABILITY = 0.5
"""Of the most likely of the 140 languages. Below it the text could be in several: of English
questions cut to 4 words, 56 % reach it, and 99.5 % of those are found to be English; of those cut
to 12 words, 99 % and 100 %."""


class LanguageOptions(CheckOptions):
    """Options of `language`."""

    language: str = Field(pattern="^[a-z]{2,3}$")
    """ISO 639 code, for example `en`."""


class Language(Check[LanguageOptions]):
    """Raw reward: py3langid's probability that the response is in the language, in [0, 1].

    A response that could be in several languages cannot be scored (`OK.`, `Paris`, `4 + 4 = 8`).

    Example:
        In the trait file:

            - name: english
              kind: verifier
              check: language
              language: en
              normalisation: {kind: identity}
    """

    name = "language"
    code_version: ClassVar[int] = 2
    options_type = LanguageOptions
    _identifier: Any

    def load(self, sources: ModelSources) -> None:
        """Reads the model that comes with the library."""
        from py3langid.langid import (  # type: ignore[import-untyped]
            MODEL_DIR,
            MODEL_FILE,
            LanguageIdentifier,
        )

        self._identifier = LanguageIdentifier.from_modelpath(MODEL_DIR / MODEL_FILE, True)
        known = {language for language, _ in self._identifier.rank("")}
        if self.options.language not in known:
            raise TraitLoadError(
                f"unknown language {self.options.language!r}; known: {', '.join(sorted(known))}"
            )

    def provenance(self) -> dict[str, str]:
        """The library's version: the model comes with the library."""
        return {"py3langid": version("py3langid")}

    def reward(self, sample: Sample) -> float:
        """The probability of the language."""
        if not any(character.isalpha() for character in sample.response):
            raise SampleError("has no letters: it is in no language", field="response")
        ranked = self._identifier.rank(sample.response)
        likeliest, probability = ranked[0]
        if probability < MIN_PROBABILITY:
            raise SampleError(
                "has too little text to tell its language: the most likely one, "
                f"{likeliest!r}, has a probability of {probability:.2f}, not {MIN_PROBABILITY}",
                field="response",
            )
        return float(dict(ranked)[self.options.language])
