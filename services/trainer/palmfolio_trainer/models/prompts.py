"""Checks of prompts, the same for training and sampling."""

from collections.abc import Sequence

from palmfolio_runtime.limits import TrainerLimits


def check_prompts(
    prompts: Sequence[str], limits: TrainerLimits, field: str
) -> list[tuple[str, str]]:
    """Everything that is wrong with prompts, as (field path, problem).

    Prompts are wrong when there are none or too many, and each one that is empty or too long.
    """
    if not prompts:
        return [(field, "is required: at least one prompt")]
    if len(prompts) > limits.max_prompts:
        allowed = f"the limit max_prompts is {limits.max_prompts}"
        return [(field, f"{len(prompts)} prompts are too many; {allowed}")]
    violations = []
    for index, prompt in enumerate(prompts):
        if not prompt.strip():
            violations.append((f"{field}[{index}]", "is empty"))
        elif len(prompt) > limits.max_characters:
            allowed = f"the limit max_characters is {limits.max_characters}"
            violations.append((f"{field}[{index}]", f"has {len(prompt)} characters; {allowed}"))
    return violations
