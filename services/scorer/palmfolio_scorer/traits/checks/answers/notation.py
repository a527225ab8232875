"""One plain notation for the many ways to write the same answer."""

import re

_SIGNS = {
    **dict.fromkeys("−–‐‑﹣－", "-"),
    **dict.fromkeys("×⋅·∗∙", "*"),
    **dict.fromkeys("÷⁄∕", "/"),
    **dict.fromkeys("\u00a0\u2009\u202f\u2007", " "),
    "％": "%",
    "°": "",
    "π": "\\pi ",
    "∞": "\\infty ",
    "√": "\\sqrt ",
    "≈": "=",
    "`": "",
}
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5",
    "⅗": "3/5", "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8",
    "⅞": "7/8",
}  # fmt: skip
# A space before it, so that 1½ becomes the mixed number `1 1/2`.
_TABLE = str.maketrans(_SIGNS | {sign: f" {value}" for sign, value in _VULGAR.items()})
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")

_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"<<[^<>\n]*>>", ""),  # GSM8K's calculator notes
        (r"(?<=[\w)])\*\*(?=[\w(-])", "^"),  # Python's power; elsewhere ** is emphasis
        (r"\*\*|__", ""),
        (r"\{,\}", ","),
        (r"\\!", ""),
        (r"\\[,;: ]|~|\\q?quad\b", " "),
        (r"\\(?:left|right|displaystyle)\b", ""),
        (r"\\[dtc]frac", r"\\frac"),
        (r"\\(?:times|cdot|ast)\b", "*"),
        (r"(?<=\d)\s?x\s?(?=10\^)", "*"),
        (r"\\div\b", "/"),
        (r"\\(?:approx|equiv)\b", "="),
        (r"\^\s*(?:\\circ\b|\{\s*\\circ\s*\})", ""),
        (r"\\degree\b", ""),
        (r"\\[\[\]()]", "$"),
        (r"\\([%${}&#])", r"\1"),
        (r"\\(?:text|textbf|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}", r" \1 "),
        (r"\\f?boxed\s*\{([^{}]*)\}", r" \1 "),
        (r"\\f?boxed(?![A-Za-z])", ""),
    )
)
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")


def plain(text: str) -> str:
    """The text with one sign for minus, times, divided by, powers, spaces and LaTeX's spellings.

    Linear in the text's length. A `$` may be a currency or stand for mathematics, and stays.

    Example:
        >>> plain(r"1{,}234 \\times 10^3")
        '1,234 * 10^3'
    """
    if not text.isascii():
        text = _RAISED.sub(lambda match: f"^({match[0].translate(_SUPERSCRIPTS)})", text)
        text = text.translate(_TABLE)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return text


def last_box(text: str) -> str | None:
    """What the last `\\boxed{…}` holds, boxes within it included; None without a closed box.

    One pass: every bracket is paired once.
    """
    content: str | None = None
    opened: list[int] = []
    """Positions of open braces; of the outermost open box only, the start is kept in `box`."""
    box: tuple[int, int] | None = None
    for match in _BRACE.finditer(text):
        token = match.group()
        if token == "}":
            if opened:
                opened.pop()
            if box is not None and len(opened) == box[0]:
                content, box = text[box[1] : match.start()], None
        elif token.endswith("{"):
            if box is None and len(token) > 1:
                box = (len(opened), match.end())
            opened.append(match.start())
        elif box is None:
            content = match.group(1)
    return content


# `\boxed 5` and `\boxed5` are valid LaTeX too: the box holds the next sign.
_BRACE = re.compile(r"\\f?boxed\s*\{|\\f?boxed\s*(\d)|(?<!\\)[{}]")
