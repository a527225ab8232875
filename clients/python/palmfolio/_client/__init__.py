"""The client for threads. `_async_client` holds the same for asyncio, method by method."""

from palmfolio._client.client import Client
from palmfolio._client.scorer import Scorer
from palmfolio._client.selector import Build, Selector
from palmfolio._client.trainer import Trainer, Training

__all__ = ["Build", "Client", "Scorer", "Selector", "Trainer", "Training"]
