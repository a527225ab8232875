"""Every table of the selector, a module for each subject; operations are in the runtime."""

from palmfolio_selector.store.tables.evaluations import (
    EvaluationRow,
    MeanRow,
    PolicyRow,
    ResponseRow,
    SamplingRow,
    TraitRow,
)
from palmfolio_selector.store.tables.portfolios import (
    CandidateRow,
    ExclusionRow,
    PortfolioRow,
    PortfolioState,
    TrainingRow,
    TrainingState,
)
from palmfolio_selector.store.tables.prompts import PromptRow, PromptSetMemberRow, PromptSetRow
from palmfolio_selector.store.tables.schema import Base

__all__ = [
    "Base",
    "CandidateRow",
    "EvaluationRow",
    "ExclusionRow",
    "MeanRow",
    "PolicyRow",
    "PortfolioRow",
    "PortfolioState",
    "PromptRow",
    "PromptSetMemberRow",
    "PromptSetRow",
    "ResponseRow",
    "SamplingRow",
    "TrainingRow",
    "TrainingState",
    "TraitRow",
]
