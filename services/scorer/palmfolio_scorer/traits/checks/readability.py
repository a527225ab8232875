"""The check `readability`: how hard a response is to read."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Literal

from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.sources import ModelSources
from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.checks.check import Check, CheckOptions


class ReadabilityOptions(CheckOptions):
    """Options of `readability`."""

    formula: Literal[
        "automated_readability_index",
        "coleman_liau_index",
        "lix",
        "flesch_reading_ease",
        "flesch_kincaid_grade",
    ] = "automated_readability_index"
    """The first three count characters and work for every installation. Flesch's formulas count
    syllables, and need the CMU pronouncing dictionary (`python -m nltk.downloader cmudict`)."""


class Readability(Check[ReadabilityOptions]):
    """Raw reward: textstat's value. Higher is harder, except for `flesch_reading_ease`.

    Example:
        In the trait file:

            - name: plain
              kind: verifier
              check: readability
              normalisation: {kind: minmax, low: 20, high: 0}
    """

    name = "readability"
    options_type = ReadabilityOptions
    _formula: Callable[[str], float]

    def load(self, sources: ModelSources) -> None:
        """Finds the formula, and its dictionary if it needs one."""
        import textstat  # type: ignore[import-untyped]

        if self.options.formula.startswith("flesch"):
            _require_dictionary()
        formula: Any = getattr(textstat, self.options.formula)
        self._formula = formula

    def provenance(self) -> dict[str, str]:
        """The library's version: the formulas come with the library."""
        return {"textstat": version("textstat")}

    def reward(self, sample: Sample) -> float:
        """The formula's value."""
        if not any(character.isalnum() for character in sample.response):
            raise SampleError("has no words, so it has no readability", field="response")
        return float(self._formula(sample.response))


def _require_dictionary() -> None:
    import nltk  # type: ignore[import-untyped]

    try:
        nltk.data.find("corpora/cmudict.zip")
    except LookupError as error:
        raise TraitLoadError(
            "Flesch's formulas need the CMU pronouncing dictionary: "
            "`python -m nltk.downloader cmudict`, or choose another formula"
        ) from error
