"""Reads a portfolio file: YAML whose keys are the fields of `PortfolioSpec`.

    portfolio: quickstart                  # the id to build it under
    base_model: smollm2-135m-instruct
    traits: [relevance, brevity, warmth]
    training_prompts: train_prompts.txt    # one prompt a line, or .jsonl (below)
    evaluation_prompts: eval_prompts.txt   # paths are relative to the YAML file
    strategy:                  # or {grid: {}}, {uniform: {resolution: 4}}, {adaptive: {}}
      explicit:
        - weights: {relevance: 1, brevity: 1, warmth: 1}
        - {weights: {relevance: 8, brevity: 1, warmth: 1}, initial_training: 1, grpo: {steps: 6}}
    grpo: {steps: 8, learning_rate: 5e-4}
    sampling: {samples_per_prompt: 3, max_tokens: 48}
    delta: 0.05
    max_size: 4
    seed: 1

A line of a .jsonl has a `prompt` and, for traits that compare with one, a `reference`.
Weights may have any scale. A key that is left out takes the default that the protocol states.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from palmfolio.cli.files.prompts import read_prompts
from palmfolio.cli.files.yaml_values import build, mapping, read_yaml
from palmfolio.errors import ConfigurationError
from palmfolio.types import PortfolioSpec, Prompt

_PROMPT_SETS = ("training_prompt_set", "evaluation_prompt_set")
_OWN_KEYS = ("portfolio", "training_prompts", "evaluation_prompts")


@dataclass(frozen=True, slots=True)
class PortfolioFile:
    """A portfolio file, read."""

    portfolio_id: str
    training_prompts: tuple[str | Prompt, ...]
    evaluation_prompts: tuple[str | Prompt, ...]
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
    for key in _OWN_KEYS:
        if not isinstance(content.get(key), str) or not content[key]:
            raise ConfigurationError(f"{path}: {key} is required and must be a text")
    own = {key: content.pop(key) for key in _OWN_KEYS}
    for key in _PROMPT_SETS:
        if key in content:
            allowed = key.removesuffix("_set") + "s"
            raise ConfigurationError(f"{path}: {key} is not allowed; use {allowed}: FILE")
    content |= dict.fromkeys(_PROMPT_SETS, "")
    spec: PortfolioSpec = build(PortfolioSpec, content, f"{path}: ")
    return PortfolioFile(
        portfolio_id=own["portfolio"],
        training_prompts=read_prompts(path.parent / own["training_prompts"]),
        evaluation_prompts=read_prompts(path.parent / own["evaluation_prompts"]),
        spec=spec,
    )
