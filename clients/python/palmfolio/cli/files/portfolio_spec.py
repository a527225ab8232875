"""Reads a portfolio file: YAML whose keys are the fields of `PortfolioSpec`.

    portfolio: quickstart                  # the id to build it under
    base_model: smollm2-135m-instruct
    traits: [relevance, brevity, warmth]
    training_prompts: train_prompts.txt    # docs/files.md tells which files there are
    evaluation_prompts:                    # paths are relative to the YAML file
      {file: questions.csv, fields: {prompt: question, reference: answer}}
    strategy:                  # or {grid: {}}, {uniform: {resolution: 4}}, {adaptive: {}}
      explicit:
        - weights: {relevance: 1, brevity: 1, warmth: 1}
        - {weights: {relevance: 8, brevity: 1, warmth: 1}, initial_training: 1, grpo: {steps: 6}}
    grpo: {steps: 8, learning_rate: 5e-4}
    sampling: {samples_per_prompt: 3, max_tokens: 48}
    delta: 0.05
    max_size: 4
    seed: 1

Weights may have any scale. A key that is left out takes the default that the protocol states.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palmfolio.cli.files.yaml_values import build, mapping
from palmfolio.errors import ConfigurationError
from palmfolio.files import read_prompts
from palmfolio.files.formats.hub import PREFIX
from palmfolio.files.text import read_yaml
from palmfolio.types import PortfolioSpec, Prompt

_PROMPT_SETS = ("training_prompt_set", "evaluation_prompt_set")
_ID = "portfolio"
_PROMPT_FILES = ("training_prompts", "evaluation_prompts")


@dataclass(frozen=True, slots=True)
class PromptFile:
    """What a portfolio file says about a file of prompts, as `read_prompts` takes it."""

    file: str
    fields: Mapping[str, str] = field(default_factory=dict)
    format: str | None = None


@dataclass(frozen=True, slots=True)
class PortfolioFile:
    """A portfolio file, read."""

    portfolio_id: str
    training_prompts: tuple[Prompt, ...]
    evaluation_prompts: tuple[Prompt, ...]
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
    content = dict(mapping(read_yaml(path), str(path)))
    portfolio_id = content.pop(_ID, None)
    if not isinstance(portfolio_id, str) or not portfolio_id:
        raise ConfigurationError(f"{path}: {_ID} is required and must be a text")
    own = {key: _prompts(path, key, content.pop(key, None)) for key in _PROMPT_FILES}
    for key in _PROMPT_SETS:
        if key in content:
            allowed = key.removesuffix("_set") + "s"
            raise ConfigurationError(f"{path}: {key} is not allowed; use {allowed}: FILE")
    content |= dict.fromkeys(_PROMPT_SETS, "")
    spec: PortfolioSpec = build(PortfolioSpec, content, f"{path}: ")
    return PortfolioFile(
        portfolio_id=portfolio_id,
        training_prompts=own["training_prompts"],
        evaluation_prompts=own["evaluation_prompts"],
        spec=spec,
    )


def _prompts(path: Path, key: str, value: Any) -> tuple[Prompt, ...]:
    """The prompts of the file that the value of a key names."""
    if isinstance(value, str):
        value = {"file": value}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{path}: {key} is required: {key}: FILE")
    named: PromptFile = build(PromptFile, value, f"{path}: {key}.")
    if not named.file:
        raise ConfigurationError(f"{path}: {key} is required: {key}: FILE")
    is_file = not named.file.startswith(PREFIX)
    file = path.parent / named.file if is_file else named.file
    return read_prompts(file, format=named.format, fields=named.fields)
