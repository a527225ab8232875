"""What the values rest on, in words: prompts that were compared, and what was left out."""

from palmfolio._names import resource_id
from palmfolio.types import Coverage


def described(coverage: Coverage | None) -> list[tuple[str, str]]:
    """Facts as (name, text): the prompts that count, responses without rewards, policies left out.

    Example:
        >>> described(Coverage(100, 97, 400, 5, {"plain": 5}))
        [('compared on', '97 of 100 prompts'), ('responses without rewards', '5 of 400 (plain 5)')]
    """
    if coverage is None:
        return []
    facts = [("compared on", f"{coverage.compared_prompts:,} of {coverage.prompts:,} prompts")]
    if coverage.unscored_responses:
        counts = f"{coverage.unscored_responses:,} of {coverage.responses:,}"
        traits = ", ".join(
            f"{name} {n:,}" for name, n in sorted(coverage.unscored_by_trait.items())
        )
        facts.append(("responses without rewards", f"{counts} ({traits})"))
    facts += [
        ("not compared", f"{resource_id(each.policy)}: {each.reason}")
        for each in coverage.excluded_policies
    ]
    return facts
