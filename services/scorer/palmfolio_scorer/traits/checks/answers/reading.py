"""Reads the final answer of a text; responses and references are read by the same rules."""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from palmfolio_scorer.traits.checks.answers.expressions import (
    MAX_CHARACTERS,
    NUMBER,
    ExpressionError,
    evaluate,
)
from palmfolio_scorer.traits.checks.answers.notation import last_box, plain
from palmfolio_scorer.traits.checks.answers.values import (
    AnswerValue,
    Clock,
    Collection,
    Percentage,
    same,
)

Place = Literal["marked", "boxed", "whole", "only", "last"]
"""Where an answer stands: after the last `####`, in the last `\\boxed{}`, as the whole text, as the
only number of a text, or as the last number of a text."""


@dataclass(frozen=True)
class Answer:
    """An answer as it stands in a text."""

    text: str
    """In plain notation, without white space."""
    value: AnswerValue | None
    """None for an answer that is not understood: it equals only the same text."""

    def equals(self, other: "Answer") -> bool:
        """The same text, or the same value."""
        if self.text == other.text:
            return True
        return self.value is not None and other.value is not None and same(self.value, other.value)


def read(text: str, places: Sequence[Place]) -> Answer | None:
    """The answer at the first of the places that holds one.

    Example:
        >>> half = read(r"So it is \\boxed{\\frac{1}{2}}.", ["marked", "boxed"])
        >>> half.equals(read("#### 0.5", ["marked", "boxed"]))
        True
    """
    for place in places:
        answer = _READERS[place](text)
        if answer is not None:
            return answer
    return None


_WINDOW = 1000
"""Characters of a longer text that are read: after a mark, or around the last digit."""
_DIGIT = re.compile(r"[\d½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]")
_LAST_DIGIT = re.compile(rf".*{_DIGIT.pattern}", re.DOTALL)
_SPACE = re.compile(r"\s")
_CURRENCY = "$£€¥₹"
_FACTOR = rf"(?:{NUMBER}(?:\^\(?-?\d{{1,9}}\)?)?(?:[ ]?\*[ ]?10\^[({{]?[-+]?\d{{1,9}}[)}}]?)?)"
# Repetitions before a further condition are bounded: unbounded, a long row of digits would be
# scanned again from each of them.
_TOKEN = re.compile(
    rf"""
    (?P<sign>[-+]?[{_CURRENCY}]?[-+]?)
    (?P<body>
        (?P<clock>\d{{1,9}}(?::\d{{1,9}})+) (?:\s?(?P<half>[ap])\.?m\b\.?)?   # 10:30 p.m., 3:2
      | \d{{1,9}}[ ]\d{{1,9}}/\d{{1,9}}(?![/\d])                              # 1 1/2
      | \d{{0,9}}\\frac\s?(?:\{{-?\d{{1,99}}\}}\s?\{{-?\d{{1,99}}\}}|\d\s?\d) # \frac{{1}}{{2}}
      | {_FACTOR}(?:[*/^]{_FACTOR})*                                          # 1/3, 2^3
    )
    (?P<percent>\s?%|\s?percent\b)?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_UNIT = (
    r"(?:\s+(?!and\b|or\b)[a-z]{2,}|\s*(?:[mgshlcf]|[ckm]m|kg|mg|ml|lbs?|oz|hrs?|min|ft|in|mph))"
)
_UNITS = re.compile(rf"{_UNIT}(?![a-z])(?:/[a-z]+)?(?:\s*\^\(?[23]\)?)?", re.IGNORECASE)
_REMARK = re.compile(
    rf"(?:{_UNITS.pattern}(?:\s+(?!and\b|or\b)[a-z]{{2,}}){{0,2}})?(?:\s+[(\[].*)?",
    re.IGNORECASE | re.DOTALL,
)
"""What may follow a number that is a whole answer: a unit, a few words, a remark in brackets."""
# In a box and between dollars `2 (x+1)` is a product; elsewhere such a bracket holds a remark.
_SPACED_FACTOR = re.compile(r"(?<=[\d})])\s+(\([^()]*\))")
# What shows that a number is a part of something that is not understood: an operator or a variable
# after it, one before it, or LaTeX anywhere.
_OPERATOR = re.compile(
    r"\s*[*/^=<>]|\s*[-+]\s*(?:[\d\\({]|[A-Za-z]\b)|[\\({]"
    r"|(?!\s?[aAI]\s+[a-z]{2})\s?[A-Za-z](?![A-Za-z'’])"
)
_DANGLING = re.compile(r"(?:[-+*/^_]|(?<![A-Za-z'’])[A-Za-z])\s?$")
_STRUCTURE = re.compile(r"[\\^_{}=<>|]")
_SEPARATOR = re.compile(r",?\s+(?:and|or)\s+|,(?!\d{3}(?!\d))\s*|;\s*")
_MARK = re.compile(r"####\s*([^\n]*)")
_CLOCK = re.compile(
    r"(?P<clock>\d{1,9}(?:\s?:\s?\d{1,9})*)\s?(?:(?P<half>[ap])\.?\s?m\b\.?)?", re.IGNORECASE
)


def _marked(text: str) -> Answer | None:
    rest = None
    for match in _MARK.finditer(text):
        rest = match.group(1)
    return None if rest is None else _leading(rest)


def _boxed(text: str) -> Answer | None:
    inside = last_box(text)
    return None if inside is None else _leading(_SPACED_FACTOR.sub(_factor, inside))


def _whole(text: str) -> Answer | None:
    if len(text) > MAX_CHARACTERS:
        return None
    text = _bare(plain(text))
    value = _value(text)
    # `3 and 4` is running text; `3, 4` is one answer with two numbers.
    if value is None or (isinstance(value, Collection) and re.search("[A-Za-z]{2}", text)):
        return None
    return Answer(_squeezed(text), value)


def _only(text: str) -> Answer | None:
    if len(text) > _WINDOW or len(list(islice(_TOKEN.finditer(plain(text)), 2))) != 1:
        return None
    return _last(text)


def _last(text: str) -> Answer | None:
    """The last number, or the formula between two `$` that it belongs to."""
    # Only the text around the last digit is read, so that the cost does not grow with the text.
    digit = _LAST_DIGIT.match(text)
    if digit is None:
        return None
    cut = 0
    if digit.end() > _WINDOW:
        cut = max(text.rfind(space, 0, digit.end() - _WINDOW) for space in " \n\t") + 1
        if digit.end() - cut > 2 * _WINDOW:
            return Answer(_squeezed(text), None)  # a number of thousands of digits
    text = plain(text[cut : digit.end() + _WINDOW])
    tokens = deque(_TOKEN.finditer(text), maxlen=1)
    if not tokens:
        return None
    token = tokens[0]
    start = text.rfind("$", max(0, token.start() - MAX_CHARACTERS), token.start())
    end = text.find("$", token.end(), token.end() + MAX_CHARACTERS)
    if start >= 0 and end >= 0:
        formula = _bare(_SPACED_FACTOR.sub(_factor, text[start + 1 : end]))
        value = _value(formula, units=False)
        if value is not None:
            return Answer(_squeezed(formula), value)
    return _token_answer(text, token)


_READERS = {"marked": _marked, "boxed": _boxed, "whole": _whole, "only": _only, "last": _last}


def _leading(text: str) -> Answer | None:
    """The answer that a marked text consists of, or else begins with."""
    if len(text) > _WINDOW:
        digit = _DIGIT.search(text)
        if digit is None:
            return None
        space = _SPACE.search(text, _WINDOW, 2 * _WINDOW)
        if space is None:
            return Answer(_squeezed(text), None)  # thousands of characters without a space
        text = text[: space.start()]
    text = _bare(plain(text))
    value = _value(text)
    if value is not None:
        return Answer(_squeezed(text), value)
    token = next(_TOKEN.finditer(text), None)
    if token is None:
        return None
    before, after = text[: token.start()], re.split(r"\s[(\[]", text[token.end() :], maxsplit=1)[0]
    # The first number of an expression that is not understood is not the answer.
    unclear = (
        _OPERATOR.match(_UNITS.sub("", after, count=1) if _UNITS.match(after) else after)
        or _DANGLING.search(before[-3:])
        or _STRUCTURE.search(before + after)
        or (before[-1:] in ("(", "[") and after[:1] in (",", ";"))
    )
    return Answer(_squeezed(text), None) if unclear else _token_answer(text, token)


def _value(text: str, *, units: bool = True) -> AnswerValue | None:
    """The value of a text that is one answer and nothing else, or None.

    Args:
        text: in plain notation.
        units: whether a unit and a few words may follow a number.
    """
    if not text or len(text) > MAX_CHARACTERS:
        return None
    clock = _CLOCK.fullmatch(text)
    if clock is not None and (clock["half"] or ":" in text):
        return _clock(clock)
    token = _TOKEN.match(text)
    if token is not None:
        rest = text[token.end() :]
        if not rest or (units and _REMARK.fullmatch(rest)):
            return _token_value(text, token)
    parts = _split(text)
    if len(parts) > 1:
        return _collection([_value(_bare(part)) for part in parts], "")
    if text[0] in "([{" and text[-1] in ")]}" and len(parts := _split(text[1:-1])) > 1:
        brackets = "" if text[0] == "{" else text[0] + text[-1]
        return _collection([_value(_bare(part), units=False) for part in parts], brackets)
    left, equals, right = text.rpartition("=")
    if equals:
        return _value(_bare(right), units=units) if left.strip() else None
    if re.search("[A-Za-z]{2}", re.sub(r"\\[A-Za-z]+", "", text)):
        return None  # words, not a product of variables
    try:
        return evaluate(text.translate(_NO_CURRENCY))
    except ExpressionError:
        return None


_NO_CURRENCY = str.maketrans("", "", _CURRENCY)


def _collection(items: Sequence[AnswerValue | None], brackets: str) -> Collection | None:
    known = tuple(item for item in items if item is not None)
    return Collection(known, brackets) if len(known) == len(items) else None


def _split(text: str) -> list[str]:
    """The parts between separators that stand outside brackets."""
    parts, start = [], 0
    for match in _outside_brackets(text):
        parts.append(text[start : match.start()])
        start = match.end()
    return [*parts, text[start:]]


def _outside_brackets(text: str) -> Iterator[re.Match[str]]:
    depth = position = 0
    for match in _SEPARATOR.finditer(text):
        between = text[position : match.start()]
        depth += sum(between.count(sign) for sign in "([{")
        depth -= sum(between.count(sign) for sign in ")]}")
        position = match.end()
        if depth == 0:
            yield match


def _token_answer(text: str, token: re.Match[str]) -> Answer:
    return Answer(_squeezed(token.group()), _token_value(text, token))


def _token_value(text: str, token: re.Match[str]) -> AnswerValue | None:
    if token["clock"]:
        return _clock(token)
    body, before = token["body"], text[: token.start()][-1:]
    if body.count("/") > 1 or before in ("^", "_"):
        return None  # a date; an exponent or an index
    # `3-4` and `(2)-3` hold a minus between two numbers, not a negative number.
    attached = before.isalnum() or before in (")", "]")
    sign = "-" if "-" in token["sign"] and not attached else ""
    try:
        value = evaluate(f"{sign}{body}")
    except ExpressionError:
        return None
    return Percentage(value) if token["percent"] else value


def _clock(match: re.Match[str]) -> Clock:
    parts = tuple(int(part) for part in match["clock"].split(":"))
    half = (match["half"] or "").lower()
    return Clock((*parts, 0) if half and len(parts) == 1 else parts, half)


def _bare(text: str) -> str:
    """Without the punctuation, the quotation marks and the `$` around it."""
    text = text.strip().lstrip("*\"'“”:,;").rstrip("*\"'“”:,;.!? \t").strip()
    while len(text) > 1 and text[0] == text[-1] == "$":
        text = text[1:-1].strip()
    return text if text.startswith("$") else text.removesuffix("$").rstrip()


def _factor(match: re.Match[str]) -> str:
    return match.group() if re.search("[A-Za-z]{2}", match.group(1)) else match.group(1)


def _squeezed(text: str) -> str:
    return "".join(text.split())
