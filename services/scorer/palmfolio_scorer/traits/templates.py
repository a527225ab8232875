"""Templates: prompt and response in the text format that a model was trained on."""

import re

from palmfolio_scorer.samples import TEXT_FIELDS, Sample, TextField

_FIELD = re.compile(r"\{(prompt|response|reference)\}")


def render(template: str, sample: Sample) -> str:
    """Replaces `{prompt}`, `{response}` and `{reference}` by the sample's texts.

    Every other brace is kept, and a text that itself holds `{response}` is not filled again.

    Example:
        >>> render("Q: {prompt} A: {response} {}", Sample("Why?", "Because {prompt}"))
        'Q: Why? A: Because {prompt} {}'
    """
    return _FIELD.sub(lambda match: str(getattr(sample, match[1])), template)


def mentions(template: str, field: str) -> bool:
    """Whether the template holds that text's field."""
    return any(match[1] == field for match in _FIELD.finditer(template))


def fields_of(*templates: str) -> frozenset[TextField]:
    """The fields that templates hold."""
    return frozenset(
        field for field in TEXT_FIELDS if any(mentions(text, field) for text in templates)
    )
