"""What the scorer says of itself."""

from collections.abc import Sequence
from importlib.metadata import version

from palmfolio.v1 import types_pb2
from palmfolio_scorer.config import ScorerConfig
from palmfolio_scorer.lifecycle.memory import device_memory, resident_bytes
from palmfolio_scorer.lifecycle.trait_lease import Serving
from palmfolio_scorer.models.store import LoadedModel


def server_info(
    config: ScorerConfig, sets: Sequence[Serving], not_ready: Sequence[str], reload_failure: str
) -> types_pb2.ServerInfo:
    """What `GetServerInfo` answers.

    Args:
        config: the configuration.
        sets: the traits that are served, then older ones that requests still use.
        not_ready: why not all work can be done.
        reload_failure: why the last reload was refused.
    """
    loaded = {id(held.model): held for serving in sets for held in serving.models}
    devices = sorted({held.model.device for held in loaded.values()})
    return types_pb2.ServerInfo(
        service="scorer",
        version=version("palmfolio"),
        readiness=types_pb2.Readiness(ready=not not_ready, reasons=not_ready),
        limits={
            **config.limits.as_map(),
            "max_queued_samples": config.engine.max_queued_samples,
            "max_queued_characters": config.engine.max_queued_characters,
        },
        devices=devices,
        loaded_models=[_model(held, sets[0]) for held in loaded.values()],
        device_memory=device_memory(devices),
        resident_bytes=resident_bytes(),
        reload_failure=reload_failure,
    )


def _model(held: LoadedModel, serving: Serving) -> types_pb2.LoadedModel:
    return types_pb2.LoadedModel(
        source=held.options.model,
        revision=held.model.revision,
        device=held.model.device,
        dtype=held.model.dtype,
        parameter_bytes=held.model.memory_bytes(),
        traits=serving.users(held.model),
    )
