"""The check `language`: whether a response is in a language."""

from importlib.metadata import version
from typing import Any

from pydantic import Field

from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.sources import ModelSources
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.checks.check import Check, CheckOptions


class LanguageOptions(CheckOptions):
    """Options of `language`."""

    language: str = Field(pattern="^[a-z]{2,3}$")
    """ISO 639 code, for example `en`."""


class Language(Check[LanguageOptions]):
    """Raw reward: py3langid's probability that the response is in the language, in [0, 1].

    Example:
        In the trait file:

            - name: english
              kind: verifier
              check: language
              language: en
              normalisation: {kind: identity}
    """

    name = "language"
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
        return float(dict(self._identifier.rank(sample.response))[self.options.language])
