"""The check `answer`: whether a response's final answer equals the reference's."""

from typing import ClassVar, Literal

from palmfolio_scorer.samples import Sample, SampleError, TextField
from palmfolio_scorer.traits.checks.answers.reading import Place, read
from palmfolio_scorer.traits.checks.check import Check, CheckOptions


class AnswerOptions(CheckOptions):
    """Options of `answer`."""

    response: Literal["marked", "boxed", "last", "any"] = "any"
    """Where the response's answer stands: after its last `####`, in its last `\\boxed{}`, or as its
    last number; `any` takes the first of these that there is, and a response that is nothing but an
    answer as it is."""
    reference: Literal["marked", "last"] = "marked"
    """Where the reference's answer stands: `marked` reads what follows its last `####`, its last
    `\\boxed{}`, a reference that is nothing but an answer, or its only number; `last` reads its
    last number where there is neither a mark nor a box."""


class Answer(Check[AnswerOptions]):
    """Raw reward: 1 when the two answers are equal, else 0, also where the response has none.

    Both sides are read by the same rules. Answers are numbers as people and LaTeX write them,
    fractions, percentages, times and ratios, short expressions, lists and intervals. Units and
    currencies are left out. An answer that is not understood equals only the same text.

    Example:
        In the trait file:

            - name: correct
              kind: verifier
              check: answer
              normalisation: {kind: identity}
    """

    name = "answer"
    code_version: ClassVar[int] = 2
    options_type = AnswerOptions
    fields: ClassVar[frozenset[TextField]] = frozenset({"response", "reference"})

    def reward(self, sample: Sample) -> float:
        """Compares numbers exactly, as fractions; roots and functions within 1e-9."""
        expected = read(sample.reference, _REFERENCE[self.options.reference])
        if expected is None:
            raise SampleError(
                "holds no answer: no number after `####`, in `\\boxed{}` or as its whole text",
                field="reference",
            )
        given = read(sample.response, _RESPONSE[self.options.response])
        return float(given is not None and given.equals(expected))


_RESPONSE: dict[str, tuple[Place, ...]] = {
    "marked": ("marked",),
    "boxed": ("boxed",),
    "last": ("last",),
    "any": ("marked", "boxed", "whole", "last"),
}
_REFERENCE: dict[str, tuple[Place, ...]] = {
    "marked": ("marked", "boxed", "whole", "only"),
    "last": ("marked", "boxed", "whole", "last"),
}
