"""The check `format`: whether a response is JSON, or matches a regular expression."""

import json
from typing import Any, Literal

from pydantic import Field, model_validator

from palmfolio_scorer.models.sources import ModelSources
from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.checks.check import Check, CheckOptions


class FormatOptions(CheckOptions):
    """Options of `format`."""

    form: Literal["json", "regex"]
    json_schema: dict[str, Any] | None = None
    """For `json`: a JSON Schema that the value must satisfy."""
    pattern: str | None = None
    """For `regex`: the pattern."""
    match: Literal["whole", "anywhere"] = "whole"
    """For `regex`: whether the whole response must match (white space around it is ignored), or
    any part of it."""
    timeout_seconds: float = Field(default=0.2, gt=0)
    """For `regex`: a sample that takes longer fails, because a pattern may backtrack for ever."""

    @model_validator(mode="after")
    def _matching_form(self) -> "FormatOptions":
        if (self.form == "regex") != (self.pattern is not None):
            raise ValueError("pattern is required for the form regex, and allowed for no other")
        if self.json_schema is not None and self.form != "json":
            raise ValueError("json_schema is allowed for the form json only")
        if self.pattern is not None:
            import regex  # type: ignore[import-untyped]

            try:
                regex.compile(self.pattern)
            except regex.error as error:
                raise ValueError(f"pattern is not a regular expression: {error}") from error
        if self.json_schema is not None:
            from jsonschema import Draft202012Validator, SchemaError  # type: ignore[import-untyped]

            try:
                Draft202012Validator.check_schema(self.json_schema)
            except SchemaError as error:
                raise ValueError(f"json_schema is not a JSON Schema: {error.message}") from error
        return self


class Format(Check[FormatOptions]):
    """Raw reward: 1 when the response has the form, otherwise 0.

    Example:
        In the trait file:

            - name: tagged
              kind: verifier
              check: format
              form: regex
              pattern: <think>.*</think>.*
              normalisation: {kind: identity}
    """

    name = "format"
    options_type = FormatOptions

    def load(self, sources: ModelSources) -> None:
        """Compiles the pattern or the schema."""
        if self.options.pattern is not None:
            import regex

            self._pattern = regex.compile(self.options.pattern)
        if self.options.json_schema is not None:
            from jsonschema import Draft202012Validator

            self._schema = Draft202012Validator(self.options.json_schema)

    def reward(self, sample: Sample) -> float:
        """1 or 0."""
        text = sample.response.strip()
        return float(self._is_json(text) if self.options.form == "json" else self._matches(text))

    def _is_json(self, text: str) -> bool:
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return False
        return self.options.json_schema is None or bool(self._schema.is_valid(value))

    def _matches(self, text: str) -> bool:
        whole = self.options.match == "whole"
        find = self._pattern.fullmatch if whole else self._pattern.search
        try:
            return find(text, timeout=self.options.timeout_seconds) is not None
        except TimeoutError:
            raise SampleError(
                f"the pattern takes longer than {self.options.timeout_seconds} s",
                code="INTERNAL",
                field="response",
            ) from None


def _no_constant(name: str) -> None:
    """Python's parser takes NaN and Infinity, which JSON does not have."""
    raise ValueError(f"{name} is not JSON")
