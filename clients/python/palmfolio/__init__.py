"""The SDK of palmfolio: clients of the scorer, the trainer and the selector.

    import palmfolio

    client = palmfolio.Client("palmfolio-quickstart/endpoints.json")
    route = client.selector.route("quickstart", {"brevity": 2, "warmth": 1})

A name is imported when it is first used: the services need only `palmfolio.v1`, and the command
line prints its help without loading gRPC.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palmfolio._async_client import AsyncBuild as AsyncBuild
    from palmfolio._async_client import AsyncClient as AsyncClient
    from palmfolio._async_client import AsyncTraining as AsyncTraining
    from palmfolio._client import Build as Build
    from palmfolio._client import Client as Client
    from palmfolio._client import Training as Training
    from palmfolio._connection import TLS as TLS
    from palmfolio._connection import Timeouts as Timeouts
    from palmfolio._operations import AsyncOperation as AsyncOperation
    from palmfolio._operations import Operation as Operation
    from palmfolio.errors import AlreadyExists as AlreadyExists
    from palmfolio.errors import Cancelled as Cancelled
    from palmfolio.errors import ConfigurationError as ConfigurationError
    from palmfolio.errors import DeadlineExceeded as DeadlineExceeded
    from palmfolio.errors import FailedPrecondition as FailedPrecondition
    from palmfolio.errors import FieldViolation as FieldViolation
    from palmfolio.errors import InvalidArgument as InvalidArgument
    from palmfolio.errors import NotFound as NotFound
    from palmfolio.errors import PalmfolioError as PalmfolioError
    from palmfolio.errors import PermissionDenied as PermissionDenied
    from palmfolio.errors import ResourceExhausted as ResourceExhausted
    from palmfolio.errors import ServerFault as ServerFault
    from palmfolio.errors import ServiceError as ServiceError
    from palmfolio.errors import Unauthenticated as Unauthenticated
    from palmfolio.errors import Unavailable as Unavailable
    from palmfolio.errors import Unimplemented as Unimplemented
    from palmfolio.types import AdaptiveStrategy as AdaptiveStrategy
    from palmfolio.types import Baselines as Baselines
    from palmfolio.types import BaseModel as BaseModel
    from palmfolio.types import BuildEvent as BuildEvent
    from palmfolio.types import BuildStage as BuildStage
    from palmfolio.types import Calibration as Calibration
    from palmfolio.types import CalibrationMethod as CalibrationMethod
    from palmfolio.types import Candidate as Candidate
    from palmfolio.types import Certificate as Certificate
    from palmfolio.types import Certification as Certification
    from palmfolio.types import ChatMessage as ChatMessage
    from palmfolio.types import Completion as Completion
    from palmfolio.types import ConfidenceBound as ConfidenceBound
    from palmfolio.types import Coverage as Coverage
    from palmfolio.types import DeviceMemory as DeviceMemory
    from palmfolio.types import DiversityFigures as DiversityFigures
    from palmfolio.types import Evaluation as Evaluation
    from palmfolio.types import EvaluationImport as EvaluationImport
    from palmfolio.types import ExcludedPolicy as ExcludedPolicy
    from palmfolio.types import ExplicitStrategy as ExplicitStrategy
    from palmfolio.types import ExplicitTraining as ExplicitTraining
    from palmfolio.types import FailedTraining as FailedTraining
    from palmfolio.types import Failure as Failure
    from palmfolio.types import FinishReason as FinishReason
    from palmfolio.types import GridStrategy as GridStrategy
    from palmfolio.types import GrpoConfig as GrpoConfig
    from palmfolio.types import ImportedEvaluation as ImportedEvaluation
    from palmfolio.types import LoadedModel as LoadedModel
    from palmfolio.types import Optimality as Optimality
    from palmfolio.types import OutputDiversity as OutputDiversity
    from palmfolio.types import Plan as Plan
    from palmfolio.types import PlannedGuarantee as PlannedGuarantee
    from palmfolio.types import Policy as Policy
    from palmfolio.types import PolicySpec as PolicySpec
    from palmfolio.types import PolicyState as PolicyState
    from palmfolio.types import Portfolio as Portfolio
    from palmfolio.types import PortfolioSpec as PortfolioSpec
    from palmfolio.types import PortfolioState as PortfolioState
    from palmfolio.types import Prompt as Prompt
    from palmfolio.types import PromptSet as PromptSet
    from palmfolio.types import Readiness as Readiness
    from palmfolio.types import Refutation as Refutation
    from palmfolio.types import Rewards as Rewards
    from palmfolio.types import Route as Route
    from palmfolio.types import Sample as Sample
    from palmfolio.types import SampleAnswer as SampleAnswer
    from palmfolio.types import SampleStatus as SampleStatus
    from palmfolio.types import SamplingConfig as SamplingConfig
    from palmfolio.types import ScoredSample as ScoredSample
    from palmfolio.types import Selection as Selection
    from palmfolio.types import SelectionMethod as SelectionMethod
    from palmfolio.types import ServerInfo as ServerInfo
    from palmfolio.types import StoredEvaluations as StoredEvaluations
    from palmfolio.types import Strategy as Strategy
    from palmfolio.types import TradeoffPoint as TradeoffPoint
    from palmfolio.types import TrainableBound as TrainableBound
    from palmfolio.types import TrainingEvent as TrainingEvent
    from palmfolio.types import TrainingProgress as TrainingProgress
    from palmfolio.types import Trait as Trait
    from palmfolio.types import UniformStrategy as UniformStrategy
    from palmfolio.types import Weights as Weights

_HOMES = ("errors", "types", "_connection", "_operations", "_client", "_async_client")

__all__ = [
    "TLS",
    "AdaptiveStrategy",
    "AlreadyExists",
    "AsyncBuild",
    "AsyncClient",
    "AsyncOperation",
    "AsyncTraining",
    "BaseModel",
    "Baselines",
    "Build",
    "BuildEvent",
    "BuildStage",
    "Calibration",
    "CalibrationMethod",
    "Cancelled",
    "Candidate",
    "Certificate",
    "Certification",
    "ChatMessage",
    "Client",
    "Completion",
    "ConfidenceBound",
    "ConfigurationError",
    "Coverage",
    "DeadlineExceeded",
    "DeviceMemory",
    "DiversityFigures",
    "Evaluation",
    "EvaluationImport",
    "ExcludedPolicy",
    "ExplicitStrategy",
    "ExplicitTraining",
    "FailedPrecondition",
    "FailedTraining",
    "Failure",
    "FieldViolation",
    "FinishReason",
    "GridStrategy",
    "GrpoConfig",
    "ImportedEvaluation",
    "InvalidArgument",
    "LoadedModel",
    "NotFound",
    "Operation",
    "Optimality",
    "OutputDiversity",
    "PalmfolioError",
    "PermissionDenied",
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
    "ResourceExhausted",
    "Rewards",
    "Route",
    "Sample",
    "SampleAnswer",
    "SampleStatus",
    "SamplingConfig",
    "ScoredSample",
    "Selection",
    "SelectionMethod",
    "ServerFault",
    "ServerInfo",
    "ServiceError",
    "StoredEvaluations",
    "Strategy",
    "Timeouts",
    "TradeoffPoint",
    "TrainableBound",
    "Training",
    "TrainingEvent",
    "TrainingProgress",
    "Trait",
    "Unauthenticated",
    "Unavailable",
    "UniformStrategy",
    "Unimplemented",
    "Weights",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            module = importlib.import_module(f"palmfolio.{home}")
            if hasattr(module, name):
                # Stored in the module, so that the next access does not come here again.
                globals()[name] = getattr(module, name)
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
