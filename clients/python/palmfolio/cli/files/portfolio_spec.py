"""Reads a portfolio file: YAML whose keys are the fields of `PortfolioSpec`.

    portfolio: quickstart                  # the id to build it under
    base_model: smollm2-135m-instruct
    traits: [relevance, brevity, warmth]
    training_prompts: train_prompts.txt    # one prompt a line, or .jsonl with `prompt`
    evaluation_prompts: eval_prompts.txt   # paths are relative to the YAML file
    strategy:                              # or {grid: {}}
      explicit:
        - weights: {relevance: 1, brevity: 1, warmth: 1}
        - {weights: {relevance: 8, brevity: 1, warmth: 1}, initial_training: 1, grpo: {steps: 6}}
    grpo: {steps: 8, learning_rate: 5e-4}
    sampling: {samples_per_prompt: 3, max_tokens: 48}
    delta: 0.05
    max_size: 4
    seed: 1

Weights may have any scale. Whatever is left out takes the default that the protocol states.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from palmfolio.errors import ConfigurationError
from palmfolio.types import PortfolioSpec

_PROMPT_SETS = ("training_prompt_set", "evaluation_prompt_set")
_OWN_KEYS = ("portfolio", "training_prompts", "evaluation_prompts")


@dataclass(frozen=True, slots=True)
class PortfolioFile:
    """What a portfolio file asks for."""

    portfolio_id: str
    training_prompts: tuple[str, ...]
    evaluation_prompts: tuple[str, ...]
    spec: PortfolioSpec
    """Its two prompt sets are empty until `with_prompt_sets`."""

    def with_prompt_sets(self, training: str, evaluation: str) -> PortfolioSpec:
        """The spec to build, given the names of the stored prompt sets."""
        return dataclasses.replace(
            self.spec, training_prompt_set=training, evaluation_prompt_set=evaluation
        )


def load_portfolio(path: Path) -> PortfolioFile:
    """Reads a portfolio file and the prompt files that it names.

    Raises:
        ConfigurationError: a file cannot be read, or a key is unknown, missing or wrong; the
            message names the file, the key and what is allowed.
    """
    content = dict(_mapping(_read_yaml(path), str(path)))
    for key in _OWN_KEYS:
        if not isinstance(content.get(key), str) or not content[key]:
            raise ConfigurationError(f"{path}: {key} is required and must be a text")
    own = {key: content.pop(key) for key in _OWN_KEYS}
    for key in _PROMPT_SETS:
        if key in content:
            allowed = key.removesuffix("_set") + "s"
            raise ConfigurationError(f"{path}: {key} is not allowed; use {allowed}: FILE")
    spec = _build(PortfolioSpec, {**content, **dict.fromkeys(_PROMPT_SETS, "")}, f"{path}: ")
    return PortfolioFile(
        portfolio_id=own["portfolio"],
        training_prompts=read_prompts(path.parent / own["training_prompts"]),
        evaluation_prompts=read_prompts(path.parent / own["evaluation_prompts"]),
        spec=spec,
    )


def read_prompts(path: Path) -> tuple[str, ...]:
    """Prompts of a file: one a line, or the `prompt` of each line of a `.jsonl`.

    Raises:
        ConfigurationError: the file cannot be read, holds no prompt, or a line is wrong.
    """
    lines = [line.strip() for line in _read_text(path).splitlines()]
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line]
    if path.suffix == ".jsonl":
        prompts = tuple(_jsonl_prompt(line, f"{path}, line {number}") for number, line in numbered)
    else:
        prompts = tuple(line for _, line in numbered)
    if not prompts:
        raise ConfigurationError(f"{path} holds no prompts; write at least one")
    return prompts


def _jsonl_prompt(line: str, where: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ConfigurationError(f"{where}: not JSON: {error}") from error
    prompt = entry.get("prompt") if isinstance(entry, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise ConfigurationError(f"{where}: needs a `prompt` that is a text and not empty")
    return prompt


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text: {error}") from error


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(_read_text(path))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML: {' '.join(str(error).split())}") from error


def _mapping(item: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(item, Mapping):
        raise ConfigurationError(f"{where} must be a mapping of keys to values")
    return item


def _build(cls: Any, content: Any, where: str) -> Any:
    """A value of dataclass `cls` from plain data, every key checked."""
    # `strategy: {explicit: [...]}` is as clear as the protocol's `{explicit: {trainings: [...]}}`.
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if isinstance(content, list) and len(fields) == 1:
        content = {next(iter(fields)): content}
    content = _mapping(content, where.removesuffix(".").removesuffix(": "))
    for key in content:
        if key not in fields:
            raise ConfigurationError(f"{where}{key} is unknown; known: {', '.join(sorted(fields))}")
    for name, field in fields.items():
        optional = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if name not in content and not optional:
            raise ConfigurationError(f"{where}{name} is required")
    return cls(**{key: _convert(hints[key], item, where + key) for key, item in content.items()})


def _convert(hint: Any, item: Any, where: str) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = next(part for part in typing.get_args(hint) if part is not type(None))
        return None if item is None else _convert(inner, item, where)
    if dataclasses.is_dataclass(hint):
        return _build(hint, {} if item is None else item, where + ".")
    origin = typing.get_origin(hint)
    if origin is tuple:
        if not isinstance(item, list):
            raise ConfigurationError(f"{where} must be a list")
        element = typing.get_args(hint)[0]
        return tuple(_convert(element, entry, f"{where}[{i}]") for i, entry in enumerate(item))
    if origin is Mapping:
        element = typing.get_args(hint)[1]
        entries = _mapping(item, where)
        return {str(k): _convert(element, entry, f"{where}.{k}") for k, entry in entries.items()}
    return _scalar(hint, item, where)


def _scalar(hint: type, item: Any, where: str) -> Any:
    if hint is float and not isinstance(item, bool):
        # YAML reads `5e-4`, without a point, as a text.
        try:
            return float(item)
        except (TypeError, ValueError):
            pass
    elif isinstance(item, hint) and not (hint is int and isinstance(item, bool)):
        return item
    kind = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    raise ConfigurationError(f"{where} must be {kind.get(hint, hint.__name__)}, not {item!r}")
