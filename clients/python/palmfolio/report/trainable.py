"""The gap to everything that could be trained, and the assumption behind it."""

from palmfolio.report import text
from palmfolio.types import TrainableBound


def grounds(bound: TrainableBound) -> str:
    """The assumption of the bound, as a phrase."""
    trainings = text.counted(bound.trainings, "training", "trainings")
    if bound.alpha == 0:
        return f"if each of {trainings} is the best for its weights"
    return f"if each of {trainings} reached {1 - bound.alpha:.4g} of the best for its weights"


def explanation(bound: TrainableBound) -> str:
    """The meaning of the bound and the evidence against its assumption, in sentences."""
    explained = (
        "The gap against everything trainable compares the portfolio with any policy that could "
        f"be trained, {grounds(bound)}. "
    )
    refuted = len(bound.refutations)
    if not refuted:
        return explained + "At no training's weights is another policy better; that is not a proof."
    those = text.counted(refuted, "training is", "trainings are")
    return (
        f"{explained}{those[0].upper()}{those[1:]} worse at its own weights than "
        "another policy, so the assumption fails there."
    )
