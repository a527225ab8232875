"""The `answer` check: one reader for responses and references."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.checks.answer import Answer, AnswerOptions
from palmfolio_scorer.traits.checks.answers.expressions import Value
from palmfolio_scorer.traits.checks.answers.reading import read

GSM8K = Path(__file__).parents[5] / "shared" / "data" / "gsm8k_test_first300.jsonl"


def _reward(response: str, reference: str, **options: str) -> float:
    return Answer(AnswerOptions(**options)).reward(Sample("prompt", response, reference))


@pytest.mark.parametrize(
    ("response", "reward"),
    [
        ("She earns 9 * 2 = $18 a day.\n#### 18", 1),
        ("#### $18.00", 1),
        ("#### 18 dollars, not 19", 1),
        ("The answer is \\boxed{18}.", 1),
        ("It is 3, no, it is 18.", 1),
        ("It is 18, from 3 and 6", 0),
        ("#### -18", 0),
        ("#### 180", 0),
        ("#### none, though 18", 1),
        ("no number at all", 0),
        ("", 0),
    ],
)
def test_the_final_number_decides(response: str, reward: int) -> None:
    assert _reward(response, "9 * 2 = 18\n#### 18") == reward


def test_numbers_are_read_as_people_write_them() -> None:
    text = ""
    for piece, expected in [
        ("-1,234.50", "-1234.50"), (" then $5,", "5"), (" 3", "3"), ("-4", "4"), (", 1", "1"),
        (",2345", "2345"), (" and .5", "0.5"), (" or +7", "7"), (" (2)", "2"), ("-3", "3"),
        (" and −9", "-9"), (" on 10.", "10"),
    ]:  # fmt: skip
        text += piece
        answer = read(text, ["last"])
        assert answer is not None
        assert answer.value == Value((Fraction(expected),)), text


# Not understood, but the same text: 9^9^9^9, 1/0, a date, a union of intervals.
@pytest.mark.parametrize(
    "text",
    [
        "#### 1/3", "#### 10:30", "#### 5 (2+3)", "#### 3/4 cup", "#### 50%", "#### 1 1/2",
        "#### 2^10", "#### 9^9^9^9", "#### 1/0", "#### 1/2/2020", "#### 1:2:3", "#### 12:05 AM",
        "#### x + 1", "#### 5 (2+3=5)", "#### 18 dollars and 5 cents", "#### ½", "#### 20 km/h",
        "#### 1, 2", "#### (1, 2]", "#### 3 - 4 people", r"#### \sqrt{2}", r"\boxed{\frac{x}{2}+1}",
        r"\boxed{[1,2] \cup [3,4]}", "5/6", "1.5e3", "10:30", "1 234", "#### " + "7" * 5000,
    ],
)  # fmt: skip
def test_an_answer_equals_itself(text: str) -> None:
    assert _reward(text, text) == 1


@pytest.mark.parametrize(
    ("response", "reference"),
    [
        ("#### 3", "#### 1/3"), (r"\boxed{\frac{1}{2}}", "2"), ("#### 1", "#### 1/3"),
        ("#### 2", "#### 2^10"), ("#### 10", "#### 10:30"), ("#### 30", "#### 10:30"),
        ("#### 1", "#### 1 1/2"), ("#### 2", r"\boxed{\sqrt{2}}"), ("#### 5", "#### 5x + 3"),
        ("#### 2", r"\boxed{2\pi}"), ("#### 1", "#### 1, 2"), ("#### 1.5", "#### 1.5e3"),
        ("#### 3", "#### 1.5e3"), ("#### 2020", "#### 1/2/2020"), ("#### 9", "#### 9^9^9^9"),
        ("#### 10:30 a.m.", "#### 10:30 p.m."), ("It is 1/3", "#### 3"), ("0", "#### 1/0"),
        ("#### 18 and 19", "#### 18"), ("#### 18 or 19", "#### 19"), ("(1, 2)", "[1, 2)"),
        ("The answer is 2^3.", "#### 3"), ("so $x^2$", "#### 2"), ("#### 3", r"\boxed{x^3}"),
        ("#### 50", "#### 0.5%"), ("#### 5000%", "#### 50%"), ("#### 1,234", "#### 1.234"),
        ("#### " + "7" * 5000, "#### 8" + "7" * 4999), ("2", r"\boxed{2 (x+1)}"),
    ],
)  # fmt: skip
def test_a_part_of_an_answer_is_not_the_answer(response: str, reference: str) -> None:
    assert _reward(response, reference) == 0


@pytest.mark.parametrize(
    ("response", "reference"),
    [
        # Boxes
        (r"\boxed{\frac{1}{2}}", "0.5"), (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{\text{so } \boxed{5}}", "5"), (r"\boxed{\sqrt{\boxed{4}}}", "2"),
        (r"\boxed{3} or rather \boxed{5}", "5"), (r"\boxed 5", "5"), (r"\boxed{5", "5"),
        (r"\fbox{5}", "5"), (r"\boxed{\$5.00}", "5"), (r"\boxed{\{1, 2\}}", "2, 1"),
        (r"\boxed{x = 5}", "5"), (r"\boxed{\text{(B)}}", "(B)"),
        # Thousands
        ("1{,}234", "1234"), (r"\boxed{1{,}234}", "1234"), ("1 234", "1234"), ("1'234", "1234"),
        ("1\u00a0234", "1234"), (r"1\,234", "1234"), ("1_234", "1234"), ("12,34,567", "1234567"),
        ("1.234.567", "1234567"), ("She has 12 500 left.", "12500"), ("#### 1,000,000", "1e6"),
        # Powers of ten
        ("1.5e3", "1500"), ("1.5E+3", "1500"), ("1.5 × 10^3", "1500"), ("1.5·10³", "1500"),
        (r"$1.5 \times 10^{3}$", "1500"), ("1.5 x 10^3", "1500"), ("#### 15e-1", "1.5"),
        # Fractions
        ("#### 2/4", "#### 1/2"), ("½", "0.5"), ("1½", "1.5"), (r"\boxed{\dfrac{3}{4}}", "0.75"),
        (r"\boxed{\frac12}", "1/2"), (r"1\frac{1}{2}", "3/2"), ("#### 1 1/2", "1.5"),
        (r"The answer is $\frac{1}{2}$.", "0.5"), (r"\boxed{-\frac{1}{2}}", "-0.5"),
        # Percentages, times, units, currencies
        ("50%", "50"), ("50%", "0.5"), (r"50\%", "50%"), ("50 percent", "50%"), ("100%", "1"),
        ("#### 22:30", "#### 10:30 pm"), ("#### 10:30", "#### 10:30 a.m."), ("3:2", "3 : 2"),
        ("10 pm", "#### 10:00 p.m."), ("#### 10", "#### 10 p.m."), ("#### 5 km", "5"),
        ("#### 5km", "5"), (r"#### 5\text{ cm}^2", "5"), ("#### 20 m/s", "20"), ("90°", "90"),
        ("US$500", "500"), ("5 €", "5"), ("$-5", "-5"), ("-$5", "-5"), ("- 5", "-5"),
        # Expressions and lists
        (r"\boxed{x+1}", r"\boxed{1+x}"), (r"\boxed{(x+1)^2}", r"\boxed{x^2+2x+1}"),
        (r"2 \sqrt{3}", r"\boxed{\sqrt{12}}"), ("2√3", r"\boxed{2\sqrt{3}}"),
        (r"So \(\frac{\sqrt{3}}{2}\).", r"\boxed{\frac{\sqrt3}{2}}"), ("2, 1", "#### 1, 2"),
        ("(1,2)", "#### (1, 2)"), ("#### 2 + 3 = 5", "5"), (r"\boxed{2\cos 0}", "2"),
        (r"\boxed{2 (x+1)}", r"\boxed{2x+2}"), ("so $2 (x+1)$", r"\boxed{2x+2}"),
        # Remarks and emphasis
        (r"\boxed{5 (apples)}", "5"), (r"\boxed{5 \text{ apples (red)}}", "5"),
        ("#### 5 (2+3)", "5"), ("#### **18**", "18"), ("#### about 18", "18"), ("A: 18", "18"),
        ("#### 18 - that is all", "18"), ("#### <<9*2=18>>18", "18"), ("#### 7 a day", "7"),
        ("#### Total = 18 apples", "18"), ("٣", "3"), ("３", "3"),
    ],
)  # fmt: skip
def test_the_same_answer_in_another_notation(response: str, reference: str) -> None:
    assert _reward(response, reference) == 1


@pytest.mark.parametrize("reference", ["", "no number", "3 and 4", "#### none", r"\boxed{}"])
def test_a_reference_without_an_answer_fails_its_sample(reference: str) -> None:
    with pytest.raises(SampleError, match="number"):
        _reward("#### 1", reference)


@given(st.fractions(max_denominator=999), st.sampled_from(["#### {}", "\\boxed{{{}}}", "{}"]))
def test_a_fraction_equals_its_other_spellings_only(value: Fraction, place: str) -> None:
    top, bottom = value.numerator, value.denominator
    for spelling in (f"{top}/{bottom}", f"\\frac{{{top}}}{{{bottom}}}", f"{3 * top}/{3 * bottom}"):
        assert _reward(place.format(spelling), f"#### {top}/{bottom}") == 1
        assert _reward(place.format(spelling), f"#### {top + 1}/{bottom}") == 0


_WORDS = (
    "90",
    "99999",
    "\\frac",
    "\\sqrt",
    "\\pi",
    "\\ln",
    "\\exp",
    "\\boxed{",
    "####",
    "and",
    "km",
)
_PIECES = st.sampled_from([*"12xye+-*/^(){}[],.:%$=|½² \n", *_WORDS])


@given(st.lists(_PIECES, max_size=60).map("".join))
@example("km(x$e,9$and (/\\sqrt")
def test_whatever_is_read_equals_itself_or_has_no_answer(text: str) -> None:
    try:
        assert _reward(text, text) == 1
    except SampleError as error:
        assert error.failure.field == "reference"


@pytest.mark.skipif(not GSM8K.exists(), reason="GSM8K is not at hand")
def test_every_gsm8k_solution_is_right_and_no_other_number_is() -> None:
    for line in GSM8K.read_text(encoding="utf-8").splitlines():
        solution = json.loads(line)["answer"]
        number = solution.rsplit("####", 1)[1].strip()
        assert _reward(solution, solution) == 1
        assert _reward(f"So the answer is **${number}.00**.", solution) == 1
        assert _reward(f"#### {number}1", solution) == 0
        assert _reward(f"#### -{number}".replace("--", ""), solution) == 0
