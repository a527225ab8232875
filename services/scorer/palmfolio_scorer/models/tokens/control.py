"""Control tokens: a template writes them; in anybody else's text they are plain text.

A tokeniser cannot tell the `</s>` of a template from the `</s>` that a policy wrote, and a policy
that writes it could move its own reward. So each control token gets a name that nobody can guess.
A template is rewritten with these names, and only the names become control tokens.
"""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_SUPPLEMENTARY_PRIVATE = range(0xF0000, 0xFFFFD)
_OPEN, _CLOSE = "\U0010fffc", "\U0010fffd"


class ControlTokens:
    """A tokeniser's control tokens and their secret names.

    Attributes:
        names: secret names, by the token as it is written.
        ids: the tokens' ids, by secret name.
    """

    def __init__(self, tokenizer: Any) -> None:
        """`tokenizer` is one of Transformers'."""
        secret = secrets.token_hex(8)
        self._template = _template_text(tokenizer)
        tokens = _control_tokens(tokenizer, self._template)
        self.names = {text: f"{_OPEN}{secret}{token}{_CLOSE}" for text, token in tokens.items()}
        self.ids = {self.names[text]: token for text, token in tokens.items()}
        self._token = _any_of(self.names)
        self._beginnings = tuple({text[:i] for text in tokens for i in range(1, len(text))})
        self._endings = tuple({text[i:] for text in tokens for i in range(1, len(text))})

    def activated(self, text: str) -> str:
        """A template's text, with its control tokens under their secret names."""
        return self._token.sub(lambda match: self.names[match[0]], text)

    def chat(self, tokenizer: Any, turns: Sequence[Mapping[str, str]], **options: Any) -> str:
        """A conversation in the tokeniser's chat template, whose own control tokens act.

        Args:
            tokenizer: the tokeniser that the tokens are from.
            turns: messages with `role` and `content`.
            options: of `apply_chat_template`.
        """
        # Around the control tokens of the contents, so that they are told from the template's.
        # The template can still search its contents for them.
        mark = _unused(self._template, *(turn["content"] for turn in turns))
        marked = [{**turn, "content": self._marked(turn["content"], mark)} for turn in turns]
        text = str(tokenizer.apply_chat_template(marked, tokenize=False, **options))
        either = re.compile(f"{mark}(?:{self._token.pattern}){mark}|({self._token.pattern})")
        return either.sub(lambda m: self.names[m[1]] if m[1] else m[0], text).replace(mark, "")

    def has(self, text: str) -> bool:
        """Whether a text holds a control token as it is written."""
        return self._token.search(text) is not None

    def _marked(self, content: str, mark: str) -> str:
        """The content with `mark` around its control tokens, and where one could begin or end.

        A mark is never put around white space, which templates strip.
        """
        body = content.strip()
        if not body:
            return content
        before, after = content.split(body, 1)
        inside = any(body in text for text in self.names)
        first = mark if inside or body.startswith(self._endings) else ""
        last = mark if inside or body.endswith(self._beginnings) else ""
        body = self._token.sub(f"{mark}\\g<0>{mark}", body)
        return f"{before}{first}{body}{last}{after}"


def _control_tokens(tokenizer: Any, template: str) -> dict[str, int]:
    """The control tokens with their ids: special tokens, and added ones that a template writes.

    A character that a model uses as its padding token, say, stays a character.
    """
    added = tokenizer.added_tokens_decoder
    special = {str(token) for token in tokenizer.all_special_tokens}
    found = {
        str(token.content): int(i)
        for i, token in added.items()
        if token.special or token.content in special or token.content in template
    }
    for text in special - found.keys():
        found[text] = int(tokenizer.convert_tokens_to_ids(text))
    return {text: i for text, i in found.items() if len(text) > 1 and not text.isspace()}


def _template_text(tokenizer: Any) -> str:
    """The sources of all chat templates."""
    template = getattr(tokenizer, "chat_template", None)
    return "\n".join(template.values()) if isinstance(template, dict) else template or ""


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Matches the texts, longer ones first; nothing if there are none."""
    ordered = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered)) or r"(?!)")


def _unused(*texts: str) -> str:
    """A character that is in none of the texts, and that no tokeniser or template knows."""
    used = set().union(*texts)
    return next(mark for code in _SUPPLEMENTARY_PRIVATE if (mark := chr(code)) not in used)
