"""How much of a response is profane."""

from importlib.metadata import version
from typing import Any

from palmfolio_scorer.models.sources import ModelPlaces
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.checks.check import Check, CheckOptions


class ProfanityOptions(CheckOptions):
    """Options of `profanity`."""

    add: tuple[str, ...] = ()
    """Further words that count as profane."""
    allow: tuple[str, ...] = ()
    """Words of the library's list that do not."""


class Profanity(Check[ProfanityOptions]):
    """Raw reward: the number of profane words, spellings such as `sh1t` included; English."""

    name = "profanity"
    options_type = ProfanityOptions
    _filter: Any

    def load(self, places: ModelPlaces) -> None:
        """Reads the word list."""
        from better_profanity import Profanity as Filter  # type: ignore[import-untyped]

        self._filter = Filter()
        self._filter.load_censor_words(whitelist_words=list(self.options.allow))
        self._filter.add_censor_words(list(self.options.add))

    def provenance(self) -> dict[str, str]:
        """The word list comes with the library."""
        return {"better-profanity": version("better-profanity")}

    def reward(self, sample: Sample) -> float:
        """Profane words, counted."""
        # The library replaces each profane word by four marks; none of these are in a text.
        marks = self._filter.censor(sample.response.replace(_MARK, " "), _MARK)
        return float(marks.count(_MARK * 4))


_MARK = "\ue000"
