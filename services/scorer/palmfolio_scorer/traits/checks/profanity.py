"""The check `profanity`: the number of profane words in a response."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from typing import ClassVar

from palmfolio_runtime.digest import digest
from palmfolio_scorer.models.sources import ModelSources
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.checks.check import Check, CheckOptions
from palmfolio_scorer.traits.checks.profanity_words import HARMLESS, NAMES, PHRASES, WORDS


class ProfanityOptions(CheckOptions):
    """Options of `profanity`."""

    add: tuple[str, ...] = ()
    """Further words and phrases that count as profane."""
    allow: tuple[str, ...] = ()
    """Words that do not count; a phrase that contains one does not count either."""


class Profanity(Check[ProfanityOptions]):
    """Raw reward: the number of profane words and phrases; English.

    Whole words of a short list of swear words count, also when they are spelt `sh1t`, `f*ck`,
    `s.h.i.t` or `fuuuck`. A word that only contains a swear word does not (`Scunthorpe`, `class`).

    Example:
        In the trait file:

            - name: clean
              kind: verifier
              check: profanity
              normalisation: {kind: minmax, low: 3, high: 0}
    """

    name = "profanity"
    code_version: ClassVar[int] = 2
    options_type = ProfanityOptions
    _list: "WordList"

    def load(self, sources: ModelSources) -> None:
        """Prepares the word list."""
        self._list = WordList([*WORDS, *PHRASES, *self.options.add], self.options.allow)

    def provenance(self) -> dict[str, str]:
        """The word list's content."""
        content = [sorted(entries) for entries in (WORDS, PHRASES, HARMLESS, NAMES)]
        return {"words": digest(content, 16)}

    def reward(self, sample: Sample) -> float:
        """Profane words, counted."""
        return float(self._list.count(sample.response))


# In each pattern the signs of a word and the signs between words are disjoint: a text can be
# matched in one way only, and the time is linear.
_LETTER = r"[^\W_]"
_SIGN = r"[^\W_]|[@$!*#+|]"
_SPELT_OUT = re.compile(
    rf"(?<!{_LETTER}){_LETTER}([ ._|/*-] ?){_LETTER}(?:\1{_LETTER})+(?!{_LETTER})"
)
_WORD = re.compile(rf"(?:{_SIGN})+(?:[.'_-](?:{_SIGN})+)*")
_EDGES = "!*#+|@$"
_INNER = re.compile("[.'_-]")
_STRETCHED = re.compile(r"(.)\1\1")
_LOOKALIKES = str.maketrans(
    "асеорхуіѕј’‘",
    "aceopxyisj''",
    "\u200b\u200c\u200d\u2060\ufeff\u00ad",  # invisible signs within words
)
_COMBINING = re.compile("[\u0300-\u036f]")
_SPELLINGS = (
    str.maketrans("01345789@$!+|", "oieastbgasiti"),
    str.maketrans("01345789@$!+|", "oleastbgasltl"),
)
_AFTER_SPELT_OUT = ("you", "off", "this", "that", "him", "her", "them", "it", "me", "up")


class WordList:
    """Finds the words and phrases of a list in texts, in time linear in the text."""

    def __init__(self, entries: Iterable[str], allow: Iterable[str] = ()) -> None:
        """
        Args:
            entries: words and phrases that count.
            allow: words and phrases that do not.
        """
        allowed = {tuple(_parts(_folded(entry).lower())) for entry in allow}
        allowed_words = {words[0] for words in allowed if len(words) == 1}
        self._words: set[str] = set()
        self._phrases: dict[str, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
        """By their first word, the longest first: the words, and what they count."""
        for entry in entries:
            words = tuple(_parts(_folded(entry).lower()))
            if not words or words in allowed or allowed_words & set(words):
                continue
            if len(words) == 1:
                self._words.add(words[0])
            else:
                self._phrases[words[0]].append((words, 1))
        for entry in HARMLESS:
            words = tuple(entry.split())
            self._phrases[words[0]].append((words, 0))
        for phrases in self._phrases.values():
            phrases.sort(key=lambda phrase: -len(phrase[0]))
        self._shortest = min(map(len, self._words), default=0)
        self._squeezed: dict[str, list[list[int]]] = defaultdict(list)
        self._masked: dict[tuple[str, int], list[str]] = defaultdict(list)
        for word in sorted(self._words):
            letters, runs = _runs(word)
            self._squeezed[letters].append(runs)
            self._masked[word[0], len(word)].append(word)

    def count(self, text: str) -> int:
        """How many entries a text has; a phrase counts once, whatever its words are."""
        total = 0

        def spelt_out(match: re.Match[str]) -> str:
            nonlocal total
            letters = re.sub(r"[\W_]", "", match.group())
            if not self._is_spelt_out(letters):
                return match.group()
            total += 1
            return " "

        text = _SPELT_OUT.sub(spelt_out, _folded(text))
        words: list[tuple[str, bool]] = []
        known: dict[str, list[tuple[str, bool]]] = {}
        for whole in _WORD.findall(text):
            if whole not in known:
                known[whole] = self._judged(whole)
            words += known[whole]
        position = 0
        while position < len(words):
            word, profane = words[position]
            phrase = self._phrase_at(words, position) if word in self._phrases else None
            total += profane if phrase is None else phrase[1]
            position += 1 if phrase is None else len(phrase[0])
        return total

    def _judged(self, whole: str) -> list[tuple[str, bool]]:
        """A word, or its parts if only they can be profane, and whether each is."""
        pieces = _INNER.split(whole)
        # Not across an apostrophe: `who're` is two words.
        joined = re.sub("[._-]", "", whole)
        if len(pieces) > 1 and self._is_profane(joined):
            return [(joined.lower(), True)]
        return [(piece.strip(_EDGES).lower(), self._is_profane(piece)) for piece in pieces]

    def _phrase_at(
        self, words: list[tuple[str, bool]], position: int
    ) -> tuple[tuple[str, ...], int] | None:
        for phrase, value in self._phrases[words[position][0]]:
            following = words[position : position + len(phrase)]
            if phrase == tuple(word for word, _ in following):
                return phrase, value
        return None

    def _is_spelt_out(self, letters: str) -> bool:
        if self._is_profane(letters):
            return True
        return any(
            letters.lower().endswith(ending) and self._is_profane(letters[: -len(ending)])
            for ending in _AFTER_SPELT_OUT
        )

    def _is_profane(self, word: str) -> bool:
        if len(word) < self._shortest:
            return False
        core = word.strip(_EDGES)
        if core.lower() in self._words:
            return not (core.lower() in NAMES and core.istitle())
        if core.isalpha() and len(core) == len(word) and not _STRETCHED.search(core):
            return False
        word = word.lower()
        return self._is_disguised(word.strip("!*#+|")) or self._is_masked(word.strip("!+|@$"))

    def _is_disguised(self, word: str) -> bool:
        """`sh1t`, `$hit`, `fuuuck`."""
        if not re.search("[a-z]", word):
            return False
        digits = re.search(r"\d", word) is not None
        for spelling in _SPELLINGS:
            plain = word.translate(spelling)
            if plain in self._words:
                # A55 may be a telephone; a$$ is not.
                return len(plain) > 3 or not digits
            if _STRETCHED.search(plain):
                letters, runs = _runs(plain)
                for model in self._squeezed.get(letters, ()):
                    if all(run >= least for run, least in zip(runs, model, strict=True)):
                        return True
        return False

    def _is_masked(self, word: str) -> bool:
        """`f*ck`, `sh#t`. Only `f***` may end in a mask: `pi**` ends an emphasis in Markdown."""
        if not re.fullmatch(r"[a-z][a-z*#]*[*#][a-z*#]*", word):
            return False
        if word == "f***":
            return True
        if len(word) < 4 or not word[-1].isalpha() or sum(map(str.isalpha, word)) < 2:
            return False
        return any(
            all(a == b or a in "*#" for a, b in zip(word, model, strict=True))
            for model in self._masked.get((word[0], len(word)), ())
        )


def _folded(text: str) -> str:
    """Without accents, invisible signs and lookalikes of other alphabets; capitals are kept."""
    if text.isascii():
        return text
    return _COMBINING.sub("", unicodedata.normalize("NFKD", text)).translate(_LOOKALIKES)


def _parts(entry: str) -> list[str]:
    return [piece for match in _WORD.finditer(entry) for piece in _INNER.split(match.group())]


def _runs(word: str) -> tuple[str, list[int]]:
    """A word's letters without repetition, and how often each is repeated."""
    groups = [(letter, len(list(group))) for letter, group in groupby(word)]
    return "".join(letter for letter, _ in groups), [count for _, count in groups]
