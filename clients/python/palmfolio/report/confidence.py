"""The confidence of the gap: its values are means over finitely many prompts."""

from palmfolio.types import ConfidenceBound

_METHODS = {
    "likelihood": "empirical likelihood",
    "max_t": "max-t bootstrap",
    "hoeffding": "Hoeffding's inequality, loose",
}

UNKNOWN = "not bounded: the values rest on one prompt, or came without prompts"
"""The true gap of a portfolio that has no bound."""


def level(bound: ConfidenceBound) -> str:
    """The probability that the bound holds, as `95 %`."""
    return f"{100 * bound.level:g}\N{NO-BREAK SPACE}%"


def method(bound: ConfidenceBound) -> str:
    """The method of the bound, in words."""
    return _METHODS.get(bound.method, bound.method)


def prompts(bound: ConfidenceBound) -> str:
    """The prompts that the bound rests on, as `40 prompts in 10 clusters`."""
    groups = f" in {bound.clusters} clusters" if bound.clusters else ""
    return f"{bound.prompts} prompts{groups}"


def says_something(bound: ConfidenceBound) -> bool:
    """False for a bound of 1 or more: rewards lie in [0, 1], so every gap is within it."""
    return bound.gap < 1.0


def explanation(bound: ConfidenceBound) -> str:
    """The meaning of the bound and its limits, in sentences."""
    share = level(bound)
    explained = (
        f"The gap is exact for the means over these {prompts(bound)}; other prompts would "
        "give other means. "
    )
    if says_something(bound):
        explained += f"The upper bound holds at {share} confidence over the draw of the prompts"
        # Only Hoeffding's inequality is exact; the others imitate the draw of the prompts.
        approximate = bound.method != "hoeffding"
        explained += ", approximately when prompts are few. " if approximate else ". "
    else:
        explained += f"So few prompts give no useful bound on the true gap at {share} confidence. "
    return explained + "Four times as many prompts about halve its distance from the measured gap."
