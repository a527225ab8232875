"""How far the portfolio is from everything that could be trained, and what that rests on."""

from palmfolio.report import text
from palmfolio.types import TrainableBound


def grounds(bound: TrainableBound) -> str:
    """What the bound assumes, as a phrase."""
    trainings = text.counted(bound.trainings, "training", "trainings")
    if bound.alpha == 0:
        return f"if each of {trainings} is the best for its weights"
    return f"if each of {trainings} reached {1 - bound.alpha:.4g} of the best for its weights"


def explanation(bound: TrainableBound) -> str:
    """What the bound means and what speaks against it, in sentences."""
    told = (
        "The gap against everything trainable compares the portfolio with any policy that could "
        f"be trained, {grounds(bound)}. "
    )
    refuted = len(bound.refutations)
    if not refuted:
        return told + "No training is outdone at its own weights by another; that is no proof."
    those = text.counted(refuted, "training is", "trainings are")
    return (
        f"{told}{those[0].upper()}{those[1:]} outdone at the weights it was made for by another "
        "policy, so the assumption fails there."
    )
