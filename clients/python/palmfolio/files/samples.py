"""Samples of a file: prompts with responses, to score or to calibrate with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palmfolio.errors import ConfigurationError
from palmfolio.files import conversations
from palmfolio.files.faults import Faults
from palmfolio.files.fields import Fields, Problem, listed, name_column
from palmfolio.files.formats.row import Fault
from palmfolio.files.prompts import PROMPT_FIELDS, check_texts, conversation_of, prompt_of, unusable
from palmfolio.files.sources import open_source
from palmfolio.types import Prompt, Sample

SAMPLE_FIELDS = (*PROMPT_FIELDS, "response", "policy", "sample")
"""What is read of a row for a sample."""
_RESPONSES = ("response", "completion")


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One sample of a file.

    Attributes:
        number: of its line or row.
        sample: what is scored.
        policy: whose response it is; empty where the file does not say.
        index: which of several responses to the prompt it is; None where the file does not say.
    """

    number: int
    sample: Sample
    policy: str = ""
    index: int | None = None


class SampleFile:
    """The samples of a file, read one by one as often as they are asked for.

    Each row has what `read_prompts` reads, and a `response` or `completion`: a text, or a list of
    messages whose last one is the assistant's. A conversation in `messages` that ends with the
    assistant's message is a prompt and its response. `policy` and `sample` may say whose response
    it is, and which of several.

    Args:
        path: as in `read_prompts`.
        format: as in `read_prompts`.
        fields: as in `read_prompts`.
        strict: whether texts that no service takes (with a NUL, or half a character) are faults of
            the file. Otherwise they are left to the service, which answers for every sample.

    Raises:
        palmfolio.ConfigurationError: the format or a field is unknown.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("answers.csv").write_text("model,prompt,response\\na,Hi,Hello!\\n")
        >>> file = SampleFile("answers.csv", fields={"policy": "model"})
        >>> file.count()
        1
        >>> [(row.number, row.policy, row.sample.response) for row in file]
        [(2, 'a', 'Hello!')]
    """

    def __init__(
        self,
        path: Path | str,
        *,
        format: str | None = None,
        fields: Mapping[str, str] | None = None,
        strict: bool = True,
    ) -> None:
        self._fields = Fields(fields or {}, SAMPLE_FIELDS)
        self._strict = strict
        self._source = open_source(path, format)

    def count(self) -> int:
        """Counts the samples, and checks all of them before any work begins.

        Raises:
            palmfolio.ConfigurationError: rows are wrong, or there are no samples.
        """
        return sum(1 for _ in self._checked())

    def read(self) -> list[SampleRow]:
        """All samples, for files that fit in memory.

        Raises:
            palmfolio.ConfigurationError: rows are wrong, or there are no samples.
        """
        return list(self._checked())

    def __iter__(self) -> Iterator[SampleRow]:
        """The samples in order, with one of them in memory at a time.

        Raises:
            palmfolio.ConfigurationError: a row is wrong.
        """
        for item in self._read():
            if isinstance(item, Fault):
                faults = Faults(self._source.name)
                faults.add(item)
                faults.check()
            else:
                yield item

    def _checked(self) -> Iterator[SampleRow]:
        """The samples; at the end, an error that names everything that is wrong."""
        faults = Faults(self._source.name)
        empty = True
        for item in self._read():
            if isinstance(item, Fault):
                faults.add(item)
            else:
                empty = False
                yield item
        faults.check()
        if empty:
            raise ConfigurationError(f"{self._source.name} holds no samples")

    def _read(self) -> Iterator[SampleRow | Fault]:
        for row in self._source.rows():
            if isinstance(row, Fault):
                yield row
                continue
            try:
                yield self._sample(row.number, row.values)
            except Problem as problem:
                yield Fault(row.place, str(problem))

    def _sample(self, number: int, values: Mapping[str, Any]) -> SampleRow:
        prompt = _prompt(values, self._fields)
        response = _response(values, self._fields)
        if self._strict:
            _check(prompt, response)
        plain = prompt.text is not None and not prompt.tags
        reference = prompt.reference if plain else None
        sample = Sample((prompt.text or "") if plain else prompt, response, reference)
        return SampleRow(
            number, sample, _policy(values, self._fields), _index(values, self._fields)
        )


def read_samples(
    path: Path | str, *, format: str | None = None, fields: Mapping[str, str] | None = None
) -> tuple[Sample, ...]:
    """The samples of a file; see `SampleFile` for its rows, and for files of any length.

    Args:
        path: as in `read_prompts`.
        format: as in `read_prompts`.
        fields: as in `read_prompts`.

    Raises:
        palmfolio.ConfigurationError: the file cannot be read or holds no samples, or rows are
            wrong; all of them are named.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("answers.jsonl").write_text('{"prompt": "Hi", "response": "Hello!"}')
        >>> read_samples("answers.jsonl")
        (Sample(prompt='Hi', response='Hello!', reference=None),)
    """
    return tuple(row.sample for row in SampleFile(path, format=format, fields=fields).read())


def _prompt(values: Mapping[str, Any], fields: Fields) -> Prompt:
    if fields.find(values, "prompt") is None and not _has_conversation(values, fields):
        raise Problem(
            f": `{fields.column('prompt')}` is missing; {listed(values)}. " + name_column("prompt")
        )
    # What an empty prompt is worth is for the scorer to say.
    return prompt_of(values, fields, blank=True)


def _has_conversation(values: Mapping[str, Any], fields: Fields) -> bool:
    return any(fields.find(values, name) is not None for name in ("messages", "chosen")) or (
        values.get("conversations") is not None
    )


def _response(values: Mapping[str, Any], fields: Fields) -> str:
    for name in _RESPONSES if not fields.is_given("response") else ("response",):
        value = fields.find(values, name) if name == "response" else values.get(name)
        column = fields.column(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return _last_answer(conversations.messages_of(value, column), column)
        if value is not None:
            raise Problem(f": `{column}` must be a text, not {type(value).__name__}")
    turns = conversation_of(values, fields) if not fields.is_given("response") else None
    if turns is None:
        raise Problem(
            f": `{fields.column('response')}` is missing; {listed(values)}. "
            + name_column("response")
        )
    return _last_answer(turns, "messages")


def _last_answer(turns: Sequence[Any], column: str) -> str:
    if turns[-1].role != conversations.ASSISTANT:
        raise Problem(f": `{column}` must end with a message of the assistant, the response")
    content: str = turns[-1].content
    return content


def _policy(values: Mapping[str, Any], fields: Fields) -> str:
    value = fields.find(values, "policy")
    if value is not None and not isinstance(value, str):
        raise Problem(f": `{fields.column('policy')}` must be a text")
    return (value or "").strip()


def _index(values: Mapping[str, Any], fields: Fields) -> int | None:
    value = fields.find(values, "sample")
    if value is None or value == "":
        return None
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Problem(f": `{fields.column('sample')}` must be a whole number from 0")
    return int(text)


def _check(prompt: Prompt, response: str) -> None:
    check_texts(prompt)
    problem = unusable(response)
    if problem:
        raise Problem(f": the response {problem}")
