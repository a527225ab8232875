"""The values of short mathematical expressions, plain or LaTeX, in bounded time.

Why not a computer algebra system: the checks run on threads, on texts that a policy writes. The
known libraries bound their work by signals (main thread only), and a few dozen brackets or one
tower of powers keeps them busy for seconds. Here an expression has at most `MAX_CHARACTERS`
characters, every number at most `MAX_BITS` bits, and one pass computes the value.

Two expressions with variables are equal if they agree at three fixed points. Numbers are exact
fractions for as long as the operations allow it, and floats after a root, a power with a fraction
or a function.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

MAX_CHARACTERS = 300
MAX_BITS = 4096
MAX_DEPTH = 20

Number = Fraction | float

POINTS = 3
"""Points at which an expression with variables is computed."""


class ExpressionError(ValueError):
    """The text is not an expression of this small language, or its value is out of bounds."""


@dataclass(frozen=True)
class Value:
    """What an expression comes to: one number, or one per point where there are variables."""

    numbers: tuple[Number, ...]

    def equals(self, other: "Value") -> bool:
        """Exactly for fractions; within 1e-9 of the larger where a float is involved."""
        return len(self.numbers) == len(other.numbers) and all(
            _equal(a, b) for a, b in zip(self.numbers, other.numbers, strict=True)
        )

    def scaled(self, factor: Fraction) -> "Value":
        """The value times a factor."""
        return Value(tuple(factor * number for number in self.numbers))


def evaluate(text: str) -> Value:
    """The value of a whole text, which must be one expression.

    Args:
        text: after `notation.plain`, so that `\\frac`, `\\sqrt`, `*`, `/`, `^` and brackets are
            the only notations left.

    Raises:
        ExpressionError: it is not one, or it is too long, too deep or too large.

    Example:
        >>> evaluate("1/3 + 1/6").numbers
        (Fraction(1, 2),)
        >>> evaluate("2(x+1)").equals(evaluate("2x + 2"))
        True
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError("too long")
    first = _Parser(text, 0)
    numbers = [first.value()]
    if first.has_variables:
        numbers += [_Parser(text, point).value() for point in range(1, POINTS)]
    return Value(tuple(numbers))


def _equal(a: Number, b: Number) -> bool:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


NUMBER = r"""
    (?:
      (?: \d{1,3}(?:,\d{3})+(?!\d)                   # 1,234,567
        | \d{1,2}(?:,\d{2}){1,4},\d{3}(?!\d)             # 12,34,567
        | \d{1,3}(?:['’_]\d{3})+(?!\d)               # 1'234
        | (?<!\d[ ])\d{1,3}(?:[ ]\d{3}){1,6}(?![ ]?\d) # 1 234
        | \d{1,3}(?:\.\d{3}){2,6}(?![.]?\d)          # 1.234.567
        | \d+ )
      (?:\.\d+)?
    | \.\d+ )
    (?:[eE][-+]?\d{1,4}(?!\w))?                      # 1.5e3
"""
"""A number without its sign, for `re.VERBOSE`."""

_TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<number>{NUMBER})|(?P<command>\\[A-Za-z]+)|(?P<name>[A-Za-z](?:_\w)?)"
    r"|(?P<symbol>[-+*/^()\[\]{}])",
    re.VERBOSE,
)
_CONSTANTS = {"\\pi": math.pi}
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "\\sin": math.sin,
    "\\cos": math.cos,
    "\\tan": math.tan,
    "\\ln": math.log,
    "\\log": math.log10,
    "\\exp": math.exp,
}
_GREEK = re.compile(
    r"\\(?:alpha|beta|gamma|delta|epsilon|theta|lambda|mu|nu|rho|sigma|tau|phi|omega|infty)"
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def number(token: str) -> Fraction:
    """The value of one number as written, thousands separators left out.

    Raises:
        ExpressionError: more than `MAX_CHARACTERS` digits, or an exponent out of bounds.
    """
    digits, _, exponent = re.sub("[,'’_ ]", "", token).lower().partition("e")
    if digits.count(".") > 1:
        digits = digits.replace(".", "")
    if len(digits) > MAX_CHARACTERS or abs(int(exponent or 0)) > MAX_CHARACTERS:
        raise ExpressionError("too large")
    return Fraction(digits) * Fraction(10) ** int(exponent or 0)


class _Parser:
    """Recursive descent; computes while it reads."""

    def __init__(self, text: str, point: int) -> None:
        self.tokens: list[tuple[str, str, bool]] = []
        """Kind, text, and whether white space stands before it."""
        self.position = 0
        self.depth = 0
        self.point = point
        self.has_variables = False
        start, spaced = 0, False
        while start < len(text):
            match = _TOKEN.match(text, start)
            if match is None:
                raise ExpressionError(f"unknown sign {text[start]!r}")
            if match.lastgroup == "space":
                spaced = True
            else:
                self.tokens.append((str(match.lastgroup), match.group(), spaced))
                spaced = False
            start = match.end()

    def value(self) -> Number:
        try:
            result = self._sum()
        except (ArithmeticError, ValueError) as error:  # 1/0, \ln 0, \exp 999
            raise ExpressionError(str(error)) from error
        if self.position < len(self.tokens):
            raise ExpressionError("something follows the expression")
        if isinstance(result, float) and not math.isfinite(result):
            raise ExpressionError("not finite")
        return result

    def _peek(self, ahead: int = 0) -> tuple[str, str, bool]:
        at = self.position + ahead
        return self.tokens[at] if at < len(self.tokens) else ("end", "", False)

    def _take(self, *symbols: str) -> str:
        kind, text, _ = self._peek()
        if kind == "symbol" and text in symbols:
            self.position += 1
            return text
        return ""

    def _sum(self) -> Number:
        # Every way to nest passes through here, so that this bounds Python's recursion.
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError("too deep")
        result = self._product()
        while sign := self._take("+", "-"):
            term = self._product()
            result = _bounded(result + term if sign == "+" else result - term)
        self.depth -= 1
        return result

    def _product(self) -> Number:
        result = self._signed()
        while True:
            if self._take("*"):
                result = _bounded(result * self._signed())
            elif self._take("/"):
                result = _bounded(result / self._signed())
            elif self._juxtaposed():
                result = _bounded(result * self._power())
            else:
                return result

    def _juxtaposed(self) -> bool:
        """Whether `2x`, `2(x+1)`, `2 \\pi`: not `5 (2+3)`, where the bracket holds a remark."""
        kind, text, spaced = self._peek()
        if kind in ("name", "command"):
            return True
        return kind == "symbol" and text in "({[" and not spaced

    def _signed(self) -> Number:
        negative = False
        while sign := self._take("+", "-"):
            negative ^= sign == "-"
        value = self._power()
        return -value if negative else value

    def _power(self) -> Number:
        base = self._atom()
        if not self._take("^"):
            return base
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError("too deep")
        exponent = self._signed()
        self.depth -= 1
        return _power(base, exponent)

    def _atom(self) -> Number:
        kind, text, _ = self._peek()
        self.position += 1
        if kind == "number":
            return self._mixed(number(text))
        if kind == "name":
            return self._variable(text)
        if kind == "symbol" and text in _CLOSING:
            inside = self._sum()
            if not self._take(_CLOSING[text]):
                raise ExpressionError("a bracket is not closed")
            return inside
        if kind == "command":
            return self._command(text)
        raise ExpressionError(f"no operand at {text!r}")

    def _mixed(self, whole: Number) -> Number:
        """`1 1/2` and `1\\frac{1}{2}` are one and a half."""
        kinds = [self._peek(i)[0] for i in range(3)]
        texts = [self._peek(i)[1] for i in range(3)]
        if kinds == ["number", "symbol", "number"] and texts[1] == "/" and self._peek()[2]:
            self.position += 3
            return whole + number(texts[0]) / number(texts[2])
        if texts[:2] == ["\\frac", "{"] and kinds[2] == "number":
            at = self.position
            part = self._atom()
            if isinstance(part, Fraction) and abs(part) < 1 and not self.has_variables:
                return whole + part
            self.position = at
        return whole

    def _command(self, text: str) -> Number:
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if text == "\\frac":
            return _bounded(self._argument() / self._argument())
        if text == "\\sqrt":
            degree: Number = Fraction(2)
            if self._peek()[1] == "[":
                degree = self._argument()
            return _power(self._argument(), 1 / degree)
        if text in _FUNCTIONS:
            return _FUNCTIONS[text](float(self._argument()))
        if _GREEK.fullmatch(text):
            return self._variable(text)
        raise ExpressionError(f"unknown command {text}")

    def _argument(self) -> Number:
        """A bracketed expression or one sign: `\\frac12` is a half."""
        kind, text, _ = self._peek()
        if kind == "number" and len(text) > 1:
            self.tokens[self.position : self.position + 1] = [
                (kind, digit, False) for digit in text
            ]
            text = text[0]
        if kind == "number":
            self.position += 1
            return number(text)
        return self._atom()

    def _variable(self, name: str) -> Number:
        self.has_variables = True
        # Any fixed numbers do that are unlikely to solve an equation; the name's letters spread
        # them, and the point moves them.
        seed = sum(ord(letter) * 31**i for i, letter in enumerate(name))
        return 0.5 + math.modf(seed * 0.6180339887498949 + self.point * 0.4142135623730951)[0]


def _bounded(value: Number) -> Number:
    if isinstance(value, Fraction) and (
        max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS
    ):
        raise ExpressionError("too large")
    return value


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            if bits * abs(exponent) > MAX_BITS:
                raise ExpressionError("too large")
            return base**exponent.numerator
        if exponent == Fraction(1, 2) and base >= 0:
            root = Fraction(math.isqrt(base.numerator), math.isqrt(base.denominator))
            if root * root == base:
                return root
    result: float | complex = float(base) ** float(exponent)
    if isinstance(result, complex):
        raise ExpressionError("not a real number")
    return result
