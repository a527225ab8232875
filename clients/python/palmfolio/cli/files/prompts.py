"""Reads prompts: a text file with one prompt a line, or JSON lines."""

import json
from pathlib import Path

from palmfolio.cli.files.text import read_text
from palmfolio.errors import ConfigurationError
from palmfolio.types import Prompt


def read_prompts(path: Path) -> tuple[str | Prompt, ...]:
    """Prompts of a file: one a line, or `prompt` and `reference` of each line of a `.jsonl`.

    Raises:
        ConfigurationError: the file cannot be read, holds no prompt, or a line is wrong.
    """
    lines = [line.strip() for line in read_text(path).splitlines()]
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line]
    prompts: tuple[str | Prompt, ...]
    if path.suffix == ".jsonl":
        prompts = tuple(_jsonl_prompt(line, f"{path}, line {number}") for number, line in numbered)
    else:
        prompts = tuple(line for _, line in numbered)
    if not prompts:
        raise ConfigurationError(f"{path} holds no prompts; write at least one")
    return prompts


def _jsonl_prompt(line: str, where: str) -> str | Prompt:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ConfigurationError(f"{where}: not JSON: {error}") from error
    prompt = entry.get("prompt") if isinstance(entry, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise ConfigurationError(f"{where}: needs a `prompt` that is a text and not empty")
    reference = entry.get("reference")
    if reference is None:
        return prompt
    if not isinstance(reference, str):
        raise ConfigurationError(f"{where}: `reference` must be a text")
    return Prompt(prompt, reference=reference)
