"""Devices and number formats."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from palmfolio_scorer.models.model import Encoded

if TYPE_CHECKING:
    import torch


def resolve_device(name: str) -> str:
    """`auto` becomes `cuda:0` where CUDA works, else `cpu`."""
    if name != "auto":
        return name
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def resolve_dtype(name: str, device: str) -> str:
    """`auto` becomes `bfloat16` on CUDA and `float32` elsewhere."""
    if name != "auto":
        return name
    return "bfloat16" if device.startswith("cuda") else "float32"


def torch_dtype(name: str) -> "torch.dtype":
    """The torch dtype of that name."""
    import torch

    dtype: torch.dtype = getattr(torch, name)
    return dtype


def pad(rows: Sequence[Sequence[int]], value: int) -> npt.NDArray[np.int64]:
    """Rows of ids as one (B, longest) array, padded on the right with `value`."""
    longest = max(1, *(len(row) for row in rows))
    padded = np.full((len(rows), longest), value, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded


def to_device(array: npt.NDArray[np.int64], device: str) -> "torch.Tensor":
    """An array on the device; pinned and asynchronous for CUDA."""
    import torch

    tensor = torch.from_numpy(array)
    if device.startswith("cuda"):
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def batch_tensors(batch: Sequence[Encoded], pad_id: int, device: str) -> "dict[str, torch.Tensor]":
    """`input_ids` and `attention_mask` (B, T) of a right-padded batch."""
    ids = pad([encoded.ids for encoded in batch], pad_id)
    lengths = np.array([len(encoded.ids) for encoded in batch])
    mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
    return {"input_ids": to_device(ids, device), "attention_mask": to_device(mask, device)}


def memory_of(module: Any) -> int:
    """Bytes of a torch module's parameters and buffers."""
    tensors = [*module.parameters(), *module.buffers()]
    return int(sum(tensor.numel() * tensor.element_size() for tensor in tensors))


def release_cache(device: str) -> None:
    """Releases the memory that torch caches on a device."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()


def is_cpu(device: str) -> bool:
    """Whether models on the device run on the machine's own cores."""
    return device.startswith("cpu")


def torch_threads() -> int:
    """Threads that torch uses for one operation."""
    import torch

    return torch.get_num_threads()


def single_thread() -> None:
    """Makes torch run this thread's operations on this thread only.

    Torch's matrix library counts its threads per process. So call this only in a process where
    every thread that uses torch calls it.
    """
    import torch

    torch.set_num_threads(1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device ran out of memory."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "not enough memory" in str(error)
    )
