"""Tables of services and of the models that they hold."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from palmfolio import types
from palmfolio.cli.render.tables import new_table

_MEBIBYTE = 2**20


def services(infos: Sequence[types.ServerInfo]) -> Table:
    """One row per service: whether it is ready, and if not, why."""
    grid = new_table("service", "version", "ready", "devices")
    grid.add_column("memory", justify="right")
    for info in infos:
        ready = info.readiness.ready
        reasons = "; ".join(info.readiness.reasons) or "no"
        state = Text("yes", "green") if ready else Text(reasons, "red")
        if info.reload_failure:
            state.append(f"\nlast reload refused: {info.reload_failure}", "yellow")
        memory = [_size(info.resident_bytes)] if info.resident_bytes else []
        memory += [f"{d.device} {_size(d.allocated_bytes)}" for d in info.device_memory]
        devices, held = ", ".join(info.devices), "\n".join(memory)
        grid.add_row(info.service, info.version or "–", state, devices, held)
    return grid


def models(infos: Sequence[types.ServerInfo]) -> Table:
    """One row per model that a service holds."""
    grid = new_table("model", "device", "dtype")
    grid.add_column("weights", justify="right")
    grid.add_column("traits", overflow="fold")
    for info in infos:
        for model in info.loaded_models:
            grid.add_row(
                model.source,
                model.device,
                model.dtype,
                _size(model.parameter_bytes),
                ", ".join(model.traits) or "no longer used",
            )
    return grid


def _size(count: int) -> str:
    return f"{count / _MEBIBYTE:,.0f} MiB"
