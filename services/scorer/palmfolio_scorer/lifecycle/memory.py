"""The memory that the process takes, and how it gives memory back."""

import ctypes
import gc
import os
from collections.abc import Iterable
from pathlib import Path

from palmfolio.v1 import types_pb2

_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Bytes of main memory that the process takes; 0 where the system does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def device_memory(devices: Iterable[str]) -> list[types_pb2.DeviceMemory]:
    """The memory that torch takes on each device that has memory of its own."""
    reports = []
    for device in devices:
        if device.startswith("cuda"):
            import torch

            reports.append(
                types_pb2.DeviceMemory(
                    device=device,
                    allocated_bytes=torch.cuda.memory_allocated(device),
                    reserved_bytes=torch.cuda.memory_reserved(device),
                )
            )
    return reports


def release_memory(devices: Iterable[str]) -> None:
    """Returns the memory of objects that are not referred to any more. Blocking.

    Deleting a model is not enough: models lie in reference cycles, and both torch and the C
    library keep freed memory for themselves.
    """
    gc.collect()
    for device in devices:
        if device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # a C library other than glibc
        return
