"""The traits and the engine together: loading, readiness, what the scorer says of itself."""

import asyncio
from importlib.metadata import version

from palmfolio.v1 import types_pb2
from palmfolio_runtime.logs import get_logger
from palmfolio_scorer.calibration import CalibrationStore
from palmfolio_scorer.config import ScorerConfig
from palmfolio_scorer.engine import Engine
from palmfolio_scorer.models.device import resolve_device
from palmfolio_scorer.models.store import ModelStore

_log = get_logger(__name__)


class Scoring:
    """The traits and the engine behind the servicer."""

    def __init__(self, config: ScorerConfig) -> None:
        """
        Raises:
            ConfigError: the traits are declared wrongly.
        """
        self.config = config
        self.traits = config.trait_set()
        self.engine = Engine(config.engine, config.limits.max_characters)
        self.calibrations: CalibrationStore | None = None
        """None where there is no state directory."""
        self.started = False
        self._devices: list[str] = []

    async def start(self) -> None:
        """Loads the traits on a thread, then starts the models' threads."""
        models = await asyncio.to_thread(self._load)
        self.engine.start(models)
        self.started = True

    def _load(self) -> ModelStore:
        import torch

        if self.config.threads:
            torch.set_num_threads(self.config.threads)
        if self.config.state_dir:
            self.calibrations = CalibrationStore(self.config.state_dir / "calibrations.json")
        models = ModelStore(resolve_device(self.config.device), self.config.model_places())
        self.traits.load(models, self.calibrations)
        self._devices = sorted({model.device for model in models})
        for model in models:
            _log.info(
                "model loaded",
                model=model.revision,
                device=model.device,
                dtype=model.dtype,
                megabytes=round(model.memory_bytes() / 2**20),
            )
        return models

    async def stop(self) -> None:
        """Ends the models' threads."""
        await self.engine.stop()

    def not_ready(self) -> list[str]:
        """Why no work, or not all of it, can be done."""
        return self.traits.failures() if self.started else ["the models are being loaded"]

    def info(self) -> types_pb2.ServerInfo:
        """What `GetServerInfo` answers."""
        reasons = self.not_ready()
        settings = self.config.engine
        return types_pb2.ServerInfo(
            service="scorer",
            version=version("palmfolio"),
            readiness=types_pb2.Readiness(ready=not reasons, reasons=reasons),
            limits={
                **self.config.limits.as_map(),
                "max_queued_samples": settings.max_queued_samples,
                "max_queued_characters": settings.max_queued_characters,
            },
            devices=self._devices,
        )
