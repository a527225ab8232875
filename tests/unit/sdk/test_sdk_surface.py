"""What users of the SDK rely on: the exported names, and two clients in step."""

import inspect

import pytest

import palmfolio
from palmfolio import _async_client, _client, _operations

PUBLIC = [
    "AdaptiveStrategy",
    "AlreadyExists",
    "AsyncBuild",
    "AsyncClient",
    "AsyncOperation",
    "AsyncTraining",
    "Baselines",
    "BaseModel",
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
    "Coverage",
    "ConfigurationError",
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
    "TLS",
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


def test_exactly_these_names_are_public() -> None:
    assert sorted(palmfolio.__all__) == sorted(PUBLIC)


def test_every_public_name_can_be_imported() -> None:
    assert all(getattr(palmfolio, name) is not None for name in PUBLIC)
    assert set(PUBLIC) <= set(dir(palmfolio))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Portfolios"):
        palmfolio.Portfolios  # noqa: B018


def _methods(cls: type) -> dict[str, list[tuple[str, object]]]:
    return {
        name: [
            (parameter.name, parameter.default)
            for parameter in inspect.signature(method).parameters.values()
        ]
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize(
    ("threads", "asyncio"),
    [
        (_client.Client, _async_client.AsyncClient),
        (_client.Scorer, _async_client.AsyncScorer),
        (_client.Trainer, _async_client.AsyncTrainer),
        (_client.Selector, _async_client.AsyncSelector),
        (_operations.Operation, _operations.AsyncOperation),
    ],
)
def test_both_clients_have_the_same_methods_and_parameters(threads: type, asyncio: type) -> None:
    assert _methods(threads) == _methods(asyncio)
    assert (
        inspect.signature(threads).parameters.keys() == inspect.signature(asyncio).parameters.keys()
    )
