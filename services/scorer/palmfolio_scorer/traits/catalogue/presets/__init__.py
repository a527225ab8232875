"""Trait files for tasks of the literature, by name.

Their models are hub ids: set `allow_hub: true`, or copy the file and name folders.
"""

from importlib.resources import files
from pathlib import Path

from palmfolio_scorer.traits.kind import TraitConfigError


def preset_names() -> list[str]:
    """Names of the presets."""
    return sorted(
        Path(entry.name).stem
        for entry in files(__package__).iterdir()
        if entry.name.endswith(".yaml")
    )


def preset_text(name: str) -> str:
    """A preset's trait file, as YAML.

    Raises:
        TraitConfigError: there is no preset of that name.
    """
    if name not in preset_names():
        raise TraitConfigError(f"unknown preset {name!r}; known: {', '.join(preset_names())}")
    return (files(__package__) / f"{name}.yaml").read_text(encoding="utf-8")
