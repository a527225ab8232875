"""Writes rewards to a file, under another name until it is complete."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from palmfolio.cli.render.plain import to_plain
from palmfolio.errors import ConfigurationError
from palmfolio.files import SampleRow
from palmfolio.types import Prompt, ScoredSample

_ROWS_PER_GROUP = 4096
_TEXTS = ("prompt", "response", "reference")


class Rows(Protocol):
    """A file format."""

    def write(self, row: SampleRow, scored: ScoredSample) -> None:
        """Appends one row."""

    def close(self) -> None:
        """Completes the file."""


class RewardsFile:
    """A file of rewards, one row per sample in the order of the samples.

    JSON lines hold `line`, `policy` and `sample` where the input has them, the sample's texts,
    `normalised`, `raw` and `versions` by trait (null where a trait failed), `cut` (where a trait's
    model could not read the whole sample: the tokens that were cut off, by trait), and `error`.
    Parquet has the same as flat columns: `normalised.TRAIT` … `palmfolio select` reads both.

    The file appears at the end, when it is complete. After an error, the rows so far stay in
    `NAME.partial` in the same folder.

    Args:
        path: ends in `.jsonl` or `.parquet`.

    Raises:
        ConfigurationError: another ending, or Parquet without pyarrow.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self.rows = 0
        self._format = _format(path)
        self._file: Rows

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._format(self.partial)
        return self

    def write(self, row: SampleRow, scored: ScoredSample) -> None:
        """Appends one sample's row; `row` is where it comes from."""
        self._file.write(row, scored)
        self.rows += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if error is None:
            self.partial.replace(self.path)
        elif not self.rows:
            self.partial.unlink()


def _format(path: Path) -> Callable[[Path], Rows]:
    if path.suffix == ".jsonl":
        return _JsonLines
    if path.suffix != ".parquet":
        raise ConfigurationError(f"--output must end in .jsonl or .parquet, not {path.name!r}")
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"writing Parquet needs pyarrow, which cannot be used here ({error}). "
            "Install it with `pip install 'palmfolio[parquet]'`, or write .jsonl"
        ) from error
    return _Parquet


def _error(scored: ScoredSample) -> str | None:
    return scored.status.failure.message if scored.status.failure else None


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _reference(scored: ScoredSample) -> str:
    sample = scored.sample
    own = sample.prompt.reference if isinstance(sample.prompt, Prompt) else None
    return (own if sample.reference is None else sample.reference) or ""


def _prompt(scored: ScoredSample) -> Any:
    """The text, or the messages as files of prompts hold them."""
    prompt = scored.sample.prompt
    if isinstance(prompt, str) or prompt.text is not None:
        return str(prompt)
    return to_plain(prompt.messages)


class _JsonLines:
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def write(self, source: SampleRow, scored: ScoredSample) -> None:
        def by_trait(values: Any) -> dict[str, Any]:
            return dict(zip(scored.traits, values, strict=True))

        row = {
            "line": source.number,
            "policy": source.policy,
            "sample": source.index,
            "prompt": _prompt(scored),
            "response": scored.sample.response,
            "reference": _reference(scored),
            "normalised": by_trait(map(_number, scored.normalised)),
            "raw": by_trait(map(_number, scored.raw)),
            "versions": by_trait(scored.trait_versions),
            "cut": dict(scored.status.cut_tokens),
            "error": _error(scored),
        }
        for name in ("policy", "sample", "reference", "cut"):
            if row[name] in ("", None, {}):
                del row[name]
        try:
            self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        except UnicodeEncodeError:  # a lone surrogate has no UTF-8 form, only an escape
            self._file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, Any]] = []
        self._writer: Any = None

    def write(self, source: SampleRow, scored: ScoredSample) -> None:
        row: dict[str, Any] = {
            "line": source.number,
            "policy": source.policy or None,
            "sample": source.index,
        }
        texts = (str(scored.sample.prompt), scored.sample.response, _reference(scored))
        for name, text in zip(_TEXTS, texts, strict=True):
            # A lone surrogate has no UTF-8 form, and Arrow refuses it.
            row[name] = text.encode("utf-8", "replace").decode("utf-8")
        for kind, values in (("normalised", scored.normalised), ("raw", scored.raw)):
            row |= {f"{kind}.{t}": _number(v) for t, v in zip(scored.traits, values, strict=True)}
        row |= {
            f"version.{t}": v for t, v in zip(scored.traits, scored.trait_versions, strict=True)
        }
        row |= {f"cut.{trait}": scored.status.cut_tokens.get(trait, 0) for trait in scored.traits}
        row["error"] = _error(scored)
        self._rows.append(row)
        if len(self._rows) == _ROWS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow
        import pyarrow.parquet

        if self._writer is None:
            # Types are given: Arrow could not infer the type of a column that has only nulls.
            schema = pyarrow.schema(
                (name, _arrow_type(pyarrow, name)) for name in (self._rows or [{"line": 0}])[0]
            )
            self._writer = pyarrow.parquet.ParquetWriter(self._path, schema)
        if self._rows:
            self._writer.write_table(
                pyarrow.Table.from_pylist(self._rows, schema=self._writer.schema)
            )
            self._rows.clear()


def _arrow_type(pyarrow: Any, column: str) -> Any:
    if column in ("line", "sample") or column.startswith("cut."):
        return pyarrow.int64()
    return pyarrow.float32() if column.startswith(("normalised.", "raw.")) else pyarrow.string()
