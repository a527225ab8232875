"""docs/algorithms.md describes what the code refers to, by numbers that are right."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
REFERENCE = re.compile(r"docs/algorithms\.md,\s+sections?\s+(\d+)(?:\s+and\s+(\d+))?")


def test_every_section_is_referred_to_and_every_reference_has_its_section() -> None:
    page = (ROOT / "docs/algorithms.md").read_text(encoding="utf-8")
    sections = {int(number) for number in re.findall(r"^## (\d+)\.", page, re.MULTILINE)}
    referred: set[int] = set()
    for folder in ("palm", "services", "clients", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            found = REFERENCE.findall(text)
            mentions = text.count("algorithms.md")
            assert mentions == len(found) + text.count("Formulas: docs/algorithms.md"), path
            referred |= {int(number) for pair in found for number in pair if number}
    assert referred == sections == set(range(1, len(sections) + 1))
