"""`GetServerInfo`: limits, versions, devices and readiness."""

from importlib.metadata import version

from palmfolio.v1 import types_pb2
from palmfolio_scorer.lifecycle.memory import device_memory, resident_bytes
from palmfolio_scorer.lifecycle.scorer_runtime import ScorerRuntime


def server_info(runtime: ScorerRuntime) -> types_pb2.ServerInfo:
    """The scorer as it is now, models of older traits that requests still use included."""
    config, leases, not_ready = runtime.config, runtime.leases, runtime.not_ready()
    loaded = {id(each.model): each for lease in leases for each in lease.models}
    devices = sorted({each.model.device for each in loaded.values()})
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
        loaded_models=[
            types_pb2.LoadedModel(
                source=each.options.model,
                revision=each.model.revision,
                device=each.model.device,
                dtype=each.model.dtype,
                parameter_bytes=each.model.memory_bytes(),
                traits=leases[0].traits_using(each.model),
            )
            for each in loaded.values()
        ],
        device_memory=device_memory(devices),
        resident_bytes=resident_bytes(),
        reload_failure=runtime.reload_failure,
    )
