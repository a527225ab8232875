"""The values that calls take and return: plain and immutable.

Field names are those of the protocol (`protos/palmfolio/v1/`), where every unit and range is
stated. Five things differ: weights are mappings from trait to weight, times are `datetime` in UTC,
a field that may be left out is None when it is, where the protocol lets one of several messages
be set (`strategy`, `method`) there is one field that holds one of several classes, and a `str` may
stand for a prompt that is only a text.
"""

from palmfolio.types.certificates import (
    Baselines,
    Certificate,
    ConfidenceBound,
    Optimality,
    PlannedGuarantee,
    Refutation,
    TrainableBound,
)
from palmfolio.types.evaluations import Evaluation, EvaluationImport, ImportedEvaluation
from palmfolio.types.portfolios import (
    BuildEvent,
    BuildStage,
    Candidate,
    Coverage,
    DiversityFigures,
    ExcludedPolicy,
    FailedTraining,
    OutputDiversity,
    Plan,
    Portfolio,
    PortfolioSpec,
    PortfolioState,
    Route,
    SampleAnswer,
)
from palmfolio.types.prompts import ChatMessage, Prompt, PromptSet
from palmfolio.types.scorer import (
    Calibration,
    CalibrationMethod,
    Rewards,
    Sample,
    SampleStatus,
    ScoredSample,
    Trait,
)
from palmfolio.types.selections import (
    Certification,
    Selection,
    SelectionMethod,
    StoredEvaluations,
    TradeoffPoint,
)
from palmfolio.types.services import (
    BaseModel,
    DeviceMemory,
    Failure,
    LoadedModel,
    Readiness,
    ServerInfo,
)
from palmfolio.types.strategies import (
    AdaptiveStrategy,
    ExplicitStrategy,
    ExplicitTraining,
    GridStrategy,
    Strategy,
    UniformStrategy,
)
from palmfolio.types.trainer import (
    Completion,
    FinishReason,
    GrpoConfig,
    Policy,
    PolicySpec,
    PolicyState,
    SamplingConfig,
    TrainingEvent,
    TrainingProgress,
)
from palmfolio.types.weights import Weights

__all__ = [
    "AdaptiveStrategy",
    "BaseModel",
    "Baselines",
    "BuildEvent",
    "BuildStage",
    "Calibration",
    "CalibrationMethod",
    "Candidate",
    "Certificate",
    "Certification",
    "ChatMessage",
    "Completion",
    "ConfidenceBound",
    "Coverage",
    "DeviceMemory",
    "DiversityFigures",
    "Evaluation",
    "EvaluationImport",
    "ExcludedPolicy",
    "ExplicitStrategy",
    "ExplicitTraining",
    "FailedTraining",
    "Failure",
    "FinishReason",
    "GridStrategy",
    "GrpoConfig",
    "ImportedEvaluation",
    "LoadedModel",
    "Optimality",
    "OutputDiversity",
    "Plan",
    "PlannedGuarantee",
    "Policy",
    "PolicySpec",
    "PolicyState",
    "Portfolio",
    "PortfolioSpec",
    "PortfolioState",
    "Prompt",
    "PromptSet",
    "Readiness",
    "Refutation",
    "Rewards",
    "Route",
    "Sample",
    "SampleAnswer",
    "SampleStatus",
    "SamplingConfig",
    "ScoredSample",
    "Selection",
    "SelectionMethod",
    "ServerInfo",
    "StoredEvaluations",
    "Strategy",
    "TradeoffPoint",
    "TrainableBound",
    "TrainingEvent",
    "TrainingProgress",
    "Trait",
    "UniformStrategy",
    "Weights",
]
