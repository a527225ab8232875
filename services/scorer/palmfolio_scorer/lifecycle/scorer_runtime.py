"""The running scorer: its traits and its engine, from the first load to the last request."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from palmfolio_runtime.config import ConfigError
from palmfolio_runtime.logs import get_logger
from palmfolio_runtime.serving.metrics import REGISTRY
from palmfolio_scorer.calibration.store import CalibrationStore
from palmfolio_scorer.config import ScorerConfig
from palmfolio_scorer.engine import Engine
from palmfolio_scorer.lifecycle.declared_traits import declared_traits
from palmfolio_scorer.lifecycle.memory import release_memory
from palmfolio_scorer.lifecycle.metrics import RELOADS, ScorerCollector
from palmfolio_scorer.lifecycle.trait_lease import TraitLease
from palmfolio_scorer.models.device import resolve_device
from palmfolio_scorer.models.sources import ModelSources
from palmfolio_scorer.models.store import LoadedModel, ModelStore
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet

_log = get_logger(__name__)

_NO_RELOAD = "the configuration was not read from a file, so it cannot be read again"


class ScorerRuntime:
    """The traits and the engine behind the calls.

    A reload builds the new traits while the old ones are still in use; models that are in both
    are shared. Then new requests get the new traits, and requests under way end on the old ones.
    A model is unloaded when the last request that may use it has ended.

    Attributes:
        config: the configuration in force.
        engine: scores samples.
        calibrations: the fitted normalisations; None without a state directory.
        started: whether the models have been loaded, or have failed to.
        reload_failure: why the last reload was refused; empty when it was not.
    """

    def __init__(
        self, config: ScorerConfig, reread: Callable[[], ScorerConfig] | None = None
    ) -> None:
        """`reread` reads the configuration again, for a reload.

        Raises:
            ConfigError: the traits are declared wrongly, or the calibrations are damaged.
        """
        self.config = config
        self.engine = Engine(config.engine, config.limits.max_characters)
        self.calibrations: CalibrationStore | None = None
        if config.state_dir:
            self.calibrations = CalibrationStore(config.state_dir / "calibrations.json")
        self.started = False
        self.reload_failure = ""
        self._reread = reread
        self._models: ModelStore | None = None
        self._leases = [TraitLease(declared_traits(config))]
        self._retiring: set[asyncio.Task[None]] = set()
        self._metrics = ScorerCollector(self.engine, lambda: self._leases)

    @property
    def leases(self) -> Sequence[TraitLease]:
        """The traits that new requests get, then older ones that requests still use."""
        return self._leases

    @property
    def traits(self) -> TraitSet:
        """The traits that new requests get."""
        return self._leases[0].traits

    def hold(self) -> AbstractContextManager[TraitSet]:
        """The traits, which stay loaded until the block ends."""
        return self._leases[0].hold()

    async def start(self) -> None:
        """Loads the traits on a thread, then starts the models' threads."""
        lease = self._leases[0]
        self._models = await asyncio.to_thread(self._load, self.config, lease.traits)
        lease.models = self._models.loaded()
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

        A configuration that is wrong is refused, and so is one with a trait that fails to load
        and did not fail before. Then the old traits stay; `reload_failure` and the log say why.
        """
        try:
            await self._reload()
            self.reload_failure = ""
            RELOADS.labels("taken").inc()
        except ConfigError as error:
            RELOADS.labels("refused").inc()
            self.reload_failure = str(error)
            _log.error("reload refused; the old traits are served", reason=str(error))
        except Exception as error:
            RELOADS.labels("refused").inc()
            self.reload_failure = f"{type(error).__name__}: {error}"
            _log.exception("reload failed; the old traits are served")

    def recalibrate(self) -> None:
        """Gives the traits the normalisations that are stored now."""
        if self.calibrations:
            for lease in self._leases:
                lease.traits.recalibrate(self.calibrations)

    def not_ready(self) -> list[str]:
        """Why no work, or not all of it, can be done."""
        if not self.started:
            return ["the models are being loaded"]
        return self.traits.failures() + self.engine.problems()

    def _load(
        self, config: ScorerConfig, traits: TraitSet, before: ModelStore | None = None
    ) -> ModelStore:
        """Loads the traits; models of the store `before` are reused. Blocking."""
        import torch  # here, because it takes seconds: a wrong configuration fails before it

        if config.threads and before is None:
            torch.set_num_threads(config.threads)
        device = before.device if before else resolve_device(config.device)
        models = ModelStore(device, ModelSources(config.model_roots, config.allow_hub), before)
        traits.load(models, self.calibrations)
        models.forget_before()
        known = {id(model) for model in before or ()}
        for loaded in models.loaded():
            if id(loaded.model) not in known:
                _log_model("model loaded", loaded)
        return models

    async def _reload(self) -> None:
        if self._reread is None:
            raise ConfigError(_NO_RELOAD)
        config = self.config.with_traits_of(await asyncio.to_thread(self._reread))
        traits = declared_traits(config)
        models = await asyncio.to_thread(self._load, config, traits, self._models)
        if broken := _newly_broken(traits, self.traits):
            # The new models must not be referred to any more when their memory is released.
            del traits, models
            await asyncio.to_thread(release_memory, self._devices())
            raise ConfigError("; ".join(broken))
        if self.calibrations:
            # `Calibrate` may have been called while the models were loading.
            traits.recalibrate(self.calibrations)
        self.engine.start(models)
        old, self.config, self._models = self._leases[0], config, models
        self._leases.insert(0, TraitLease(traits, models.loaded()))
        _log.info("reloaded", traits=traits.names())
        task = asyncio.create_task(self._retire(old))
        self._retiring.add(task)  # the event loop itself keeps weak references only
        task.add_done_callback(self._retiring.discard)

    async def _retire(self, old: TraitLease) -> None:
        """Unloads the models that only `old` uses, once no request uses it."""
        await old.unused.wait()
        self._leases.remove(old)
        devices = self._devices() | {loaded.model.device for loaded in old.models}
        used = {id(loaded.model) for lease in self._leases for loaded in lease.models}
        # Every name that refers to a model is deleted before its memory is released.
        while old.models:
            loaded = old.models.pop()
            if id(loaded.model) not in used:
                await self.engine.unload(loaded.model)
                _log_model("model unloaded", loaded)
            del loaded
        del old
        await asyncio.to_thread(release_memory, devices)

    def _devices(self) -> set[str]:
        return {loaded.model.device for lease in self._leases for loaded in lease.models}


def _newly_broken(new: TraitSet, old: TraitSet) -> list[str]:
    """Why traits failed to load that did not fail before, one line each."""
    known = {served.name for served in old if served.failure}
    return [
        f"trait {served.name}: {served.failure}"
        for served in new
        if served.failure and served.name not in known
    ]


def _log_model(event: str, loaded: LoadedModel) -> None:
    _log.info(
        event,
        model=loaded.options.model,
        revision=loaded.model.revision,
        device=loaded.model.device,
        dtype=loaded.model.dtype,
        megabytes=round(loaded.model.memory_bytes() / 2**20),
    )
