"""The client for asyncio: `_client`, method by method, where the arguments are explained."""

from palmfolio._async_client.client import AsyncClient
from palmfolio._async_client.scorer import AsyncScorer
from palmfolio._async_client.selector import AsyncBuild, AsyncSelector
from palmfolio._async_client.trainer import AsyncTrainer, AsyncTraining

__all__ = [
    "AsyncBuild",
    "AsyncClient",
    "AsyncScorer",
    "AsyncSelector",
    "AsyncTrainer",
    "AsyncTraining",
]
