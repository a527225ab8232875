"""The traits and the engine together: loading, reloading, readiness."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

from palmfolio.v1 import types_pb2
from palmfolio_runtime.config import ConfigError
from palmfolio_runtime.logs import get_logger
from palmfolio_runtime.serving.metrics import REGISTRY
from palmfolio_scorer.calibration.fitting import CalibrationStore
from palmfolio_scorer.calls.server_info import server_info
from palmfolio_scorer.config import ScorerConfig
from palmfolio_scorer.engine import Engine
from palmfolio_scorer.lifecycle.memory import give_back
from palmfolio_scorer.lifecycle.metrics import RELOADS, ScorerCollector
from palmfolio_scorer.lifecycle.trait_lease import Serving
from palmfolio_scorer.models.device import resolve_device
from palmfolio_scorer.models.store import LoadedModel, ModelStore
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet

_log = get_logger(__name__)

_NO_RELOAD = "the configuration came from no file"


class Scoring:
    """The traits and the engine behind the servicer.

    A reload builds the new traits beside the old ones, sharing the models that are in both; then
    new requests get the new traits, and what is under way ends on the old ones. A model goes when
    the last request that may use it has ended.
    """

    def __init__(
        self, config: ScorerConfig, reread: Callable[[], ScorerConfig] | None = None
    ) -> None:
        """`reread` reads the configuration again, for a reload.

        Raises:
            ConfigError: the traits are declared wrongly.
        """
        self.config = config
        self.engine = Engine(config.engine, config.limits.max_characters)
        self.calibrations: CalibrationStore | None = None
        """None where there is no state directory."""
        self.started = False
        self._reread = reread
        self._reload_failure = ""
        self._models: ModelStore | None = None
        self._sets = [Serving(config.trait_set())]  # the one that is served, then older ones
        self._retiring: set[asyncio.Task[None]] = set()
        self._metrics = ScorerCollector(self.engine, lambda: self._sets)

    @property
    def traits(self) -> TraitSet:
        """The traits that new requests get."""
        return self._sets[0].traits

    def hold(self) -> AbstractContextManager[TraitSet]:
        """The traits, which stay loaded until the block ends."""
        return self._sets[0].hold()

    async def start(self) -> None:
        """Loads the traits on a thread, then starts the models' threads."""
        if self.config.state_dir:
            self.calibrations = CalibrationStore(self.config.state_dir / "calibrations.json")
        serving = self._sets[0]
        self._models = await asyncio.to_thread(self._load, self.config, serving.traits)
        serving.models = self._models.loaded()
        self.engine.start(self._models)
        REGISTRY.register(self._metrics)
        self.started = True

    async def stop(self) -> None:
        """Ends the models' threads."""
        if self.started:
            REGISTRY.unregister(self._metrics)
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await self.engine.stop()

    async def reload(self) -> None:
        """Takes the traits of the configuration as it is now.

        One that is wrong, or that has a trait which fails to load and did not fail before, is
        refused: the old one stays, and `info` and the log say why.
        """
        try:
            await self._reload()
            self._reload_failure = ""
            RELOADS.labels("taken").inc()
        except ConfigError as error:
            RELOADS.labels("refused").inc()
            self._reload_failure = str(error)
            _log.error("reload refused; the old traits are served", reason=str(error))
        except Exception as error:
            RELOADS.labels("refused").inc()
            self._reload_failure = f"{type(error).__name__}: {error}"
            _log.exception("reload failed; the old traits are served")

    def recalibrate(self) -> None:
        """Gives the traits the normalisations that are stored by now."""
        if self.calibrations:
            for serving in self._sets:
                serving.traits.recalibrate(self.calibrations)

    def not_ready(self) -> list[str]:
        """Why no work, or not all of it, can be done."""
        return self.traits.failures() if self.started else ["the models are being loaded"]

    def info(self) -> types_pb2.ServerInfo:
        """What `GetServerInfo` answers."""
        return server_info(self.config, self._sets, self.not_ready(), self._reload_failure)

    def _load(
        self, config: ScorerConfig, traits: TraitSet, before: ModelStore | None = None
    ) -> ModelStore:
        """Loads the traits. Blocking."""
        import torch

        if config.threads and before is None:
            torch.set_num_threads(config.threads)
        device = before.device if before else resolve_device(config.device)
        models = ModelStore(device, config.model_places(), before)
        traits.load(models, self.calibrations)
        models.forget_before()
        known = {id(model) for model in before or ()}
        for held in models.loaded():
            if id(held.model) not in known:
                _log_model("model loaded", held)
        return models

    async def _reload(self) -> None:
        if self._reread is None:
            raise ConfigError(_NO_RELOAD)
        config = self.config.with_traits_of(await asyncio.to_thread(self._reread))
        traits = config.trait_set()
        models = await asyncio.to_thread(self._load, config, traits, self._models)
        if broken := _newly_broken(traits, self.traits):
            del traits, models
            await asyncio.to_thread(give_back, self._devices())
            raise ConfigError("; ".join(broken))
        if self.calibrations:
            traits.recalibrate(self.calibrations)  # some may have come while the models loaded
        self.engine.start(models)
        old, self.config, self._models = self._sets[0], config, models
        self._sets.insert(0, Serving(traits, models.loaded()))
        _log.info("reloaded", traits=traits.names())
        task = asyncio.create_task(self._retire(old))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _retire(self, old: Serving) -> None:
        """Unloads what a set alone uses, once no request does."""
        await old.unused.wait()
        self._sets.remove(old)
        devices = self._devices() | {held.model.device for held in old.models}
        used = {id(held.model) for serving in self._sets for held in serving.models}
        while old.models:
            held = old.models.pop()
            if id(held.model) not in used:
                await self.engine.unload(held.model)
                _log_model("model unloaded", held)
            del held
        del old
        await asyncio.to_thread(give_back, devices)

    def _devices(self) -> set[str]:
        return {held.model.device for serving in self._sets for held in serving.models}


def _newly_broken(new: TraitSet, old: TraitSet) -> list[str]:
    """Why traits failed to load that did not fail before, one line each."""
    known = {served.name for served in old if served.failure}
    return [
        f"trait {served.name}: {served.failure}"
        for served in new
        if served.failure and served.name not in known
    ]


def _log_model(event: str, held: LoadedModel) -> None:
    _log.info(
        event,
        model=held.options.model,
        revision=held.model.revision,
        device=held.model.device,
        dtype=held.model.dtype,
        megabytes=round(held.model.memory_bytes() / 2**20),
    )
