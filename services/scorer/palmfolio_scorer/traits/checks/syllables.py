"""How many syllables an English word has, by rules."""

import re
from functools import lru_cache

_VOWELS = re.compile("[aeiouy]+")

# Groups of vowels that are not a syllable.
_SILENT = re.compile(
    r"""
      (?<=[^aeiouyl])e$ | (?<=[aeiouywr]l)e$                        # make, whole; not apple
    | (?<=[^aeiouysxzcgl])(?<!ch)(?<!sh)es$ | (?<=[aeiouywr]l)es$   # makes; not boxes, apples
    | (?<=[^aeiouytdl])(?<!^[^aeiou])(?<!^[^aeiou]{2})ed$           # baked; not wanted, red, shred
    | (?<=[aeioulywr]l)ed$                                          # called; not settled
    | (?<=[^aeiouyl])e(?=(?:ly|ments?|ful|fully|less|ness|some|works?|where|things?|body|ones?)$)
    | (?<=[^aeiouyl])e(?=(?:times?|days?|balls?|fore|noon|ways?|books?|marks?|of|by)$)
    | (?<=[aiou]l)e(?=(?:ly|ments?|ful|fully|less|ness|some|sales?)$)
    | (?<=[aeio]q)ue(?=s?$) | (?<=og)ue(?=s?$)                      # unique, dialogue
    | (?<=[ct])a(?=lly$)                                            # basically
    """,
    re.VERBOSE,
)
# Places within a group of vowels where a second syllable begins, and syllables without a vowel.
_FURTHER = re.compile(
    r"""
      (?<![cstxg])i(?=a) | (?<![cstxgh])i(?=o) | (?<=[rt])i(?=o$)   # dial, period; not social
    | i(?=um|us$|et|er$|ers$|ety|en[ct]) | (?<=[^aeiou])i(?=re(?:[sd]?$|ment))
    | eo(?!u|ple|n$|ns$) | (?<=[rcl])e(?=at(?:e|i|o|u)) | (?<=[rd])e(?=as?$) | e(?=ing$|able$)
    | (?<=[^aeqg])u(?=a|o(?!y)|ity) | u(?=ing$) | a(?=o) | o(?=ing$)
    | y(?=i) | (?<=[aeo])y(?=al|o|er|ee) | (?<=[hl]o)u(?=rs?$)            # hour
    | (?<=[aeiouy]s)(?=ms?$) | (?<=[dst])(?=n'?t$)                 # prism, didn't
    """,
    re.VERBOSE,
)
_EXCEPTIONS = {
    "before": 2, "business": 2, "businesses": 3, "chocolate": 2, "chocolates": 2, "different": 2,
    "difference": 2,
    "evening": 2, "evenings": 2, "every": 2, "everyone": 3, "everything": 3, "interest": 2,
    "interested": 3, "interesting": 3, "our": 1, "recipe": 3, "recipes": 3, "several": 2,
    "temperature": 3, "temperatures": 3, "wednesday": 2, "linear": 3, "poem": 2, "poems": 2,
    "poet": 2, "poets": 2, "being": 2, "area": 3, "areas": 3, "science": 2, "client": 2,
    "clients": 2, "giant": 2, "fuel": 2, "vegetable": 3, "vegetables": 3, "hundred": 2, "acre": 2,
    "acres": 2, "museum": 3, "create": 2, "theater": 3,
}  # fmt: skip


@lru_cache(maxsize=16_384)
def syllables(word: str) -> int:
    """The syllables of a word in small letters; 1 where it has no letter a to z.

    Checked against the CMU pronouncing dictionary: see docs/scoring.md.

    Example:
        >>> syllables("readability"), syllables("baked")
        (5, 1)
    """
    if word in _EXCEPTIONS:
        return _EXCEPTIONS[word]
    vowels = len(_VOWELS.findall(word))
    return max(1, vowels - len(_SILENT.findall(word)) + len(_FURTHER.findall(word)))
