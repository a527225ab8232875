"""Reads prompts: a text file with one prompt a line, or JSON lines."""

import json
from pathlib import Path

from palmfolio.cli.files.text import read_text
from palmfolio.errors import ConfigurationError


def read_prompts(path: Path) -> tuple[str, ...]:
    """Prompts of a file: one a line, or the `prompt` of each line of a `.jsonl`.

    Raises:
        ConfigurationError: the file cannot be read, holds no prompt, or a line is wrong.
    """
    lines = [line.strip() for line in read_text(path).splitlines()]
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
