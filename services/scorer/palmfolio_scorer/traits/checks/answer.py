"""Whether a response's final number is the reference's."""

import re
from decimal import Decimal
from typing import Literal

from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.checks.check import Check, CheckOptions

_NUMBER = re.compile(r"[-+−]?[$£€]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)")
_MARKED = re.compile(r"####\s*([^\n]*)")
_BOXED = re.compile(r"\\boxed\s*\{([^{}]*)\}")


class AnswerOptions(CheckOptions):
    """Options of `answer`."""

    response: Literal["marked", "boxed", "last", "any"] = "any"
    """Where the response's answer stands: after its last `####`, in its last `\\boxed{}`, or as its
    last number; `any` takes the first of these that there is."""
    reference: Literal["marked", "last"] = "marked"
    """Where the reference's answer stands; a bare number is always read."""


class Answer(Check[AnswerOptions]):
    """Raw reward: 1 when the numbers are equal, else 0, also where the response has none.

    Thousands separators, currency signs, signs, and trailing zeros and stops do not matter.
    """

    name = "answer"
    options_type = AnswerOptions

    def reward(self, sample: Sample) -> float:
        """Compares the two numbers exactly, as decimals."""
        expected = self._expected(sample.reference)
        return float(self._given(sample.response) == expected)

    def _expected(self, reference: str) -> Decimal:
        marked = _last(_MARKED, reference)
        if marked is None and self.options.reference == "marked":
            marked = reference if len(numbers(reference)) == 1 else None
        found = numbers(reference if marked is None else marked)
        if not found or (marked is None and self.options.reference == "marked"):
            raise SampleError("holds no number after `####`", field="reference")
        return found[-1]

    def _given(self, response: str) -> Decimal | None:
        marked, boxed = _last(_MARKED, response), _last(_BOXED, response)
        where = self.options.response
        # After a mark the answer comes first; in running text it comes last.
        for text, use in ((marked, "marked"), (boxed, "boxed")):
            if where in (use, "any") and text is not None and (found := numbers(text)):
                return found[0]
        if where in ("last", "any") and (found := numbers(response)):
            return found[-1]
        return None


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.findall(text)
    return str(found[-1]) if found else None


def numbers(text: str) -> list[Decimal]:
    """The numbers in a text, in order: `-1,234.50` is one number, and `3-4` is 3 and 4."""
    found = []
    for match in _NUMBER.finditer(text):
        token = match.group()
        before = text[: match.start()][-1:]
        if before.isalnum() or before in (")", "]"):
            token = token.lstrip("-+−")
        found.append(Decimal(re.sub("[$£€,+]", "", token).replace("−", "-")))
    return found
