"""Prompt sets and prompts for people."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from palmfolio._names import resource_id
from palmfolio.cli.render.tables import new_table
from palmfolio.types import Prompt


def prompt_sets(items: Iterable[Mapping[str, Any]]) -> Table:
    """Prompt sets, one a row."""
    grid = new_table("prompt set", "prompts", "display name", "stored")
    for item in items:
        created = item["create_time"]
        grid.add_row(
            resource_id(item["name"]),
            f"{item['prompt_count']:,}",
            Text(item["display_name"]),
            f"{created:%Y-%m-%d %H:%M}" if created else "",
        )
    return grid


def prompts(items: Iterable[Prompt]) -> Table:
    """Prompts, one a row, with what some of them have in addition."""
    found = list(items)
    columns = [
        name
        for name, is_there in (
            ("reference", any(prompt.reference for prompt in found)),
            ("tags", any(prompt.tags for prompt in found)),
        )
        if is_there
    ]
    grid = new_table("", "prompt", *columns)
    for number, prompt in enumerate(found, 1):
        cells = {"reference": prompt.reference or "", "tags": ", ".join(prompt.tags)}
        grid.add_row(str(number), Text(str(prompt)), *(Text(cells[name]) for name in columns))
    return grid
