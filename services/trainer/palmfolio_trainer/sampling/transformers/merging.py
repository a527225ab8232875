"""LoRA merged into the weights while sampling, which saves two products per linear layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import LoraLayer


@contextmanager
def merged_adapter(model: Any) -> Iterator[None]:
    """Within it the PEFT model's active adapters are part of the base weights.

    On leaving, the very tensors from before are put back: nothing is subtracted, so no rounding
    accumulates however often this is done.

    Args:
        model: a `PeftModel` with LoRA layers, none of them merged.
    """
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    originals = [layer.get_base_layer().weight.data for layer in layers]
    try:
        with torch.no_grad():
            for layer in layers:
                _merge(layer)
        yield
    finally:
        for layer, original in zip(layers, originals, strict=True):
            layer.get_base_layer().weight.data = original
            layer.merged_adapters.clear()


def _merge(layer: Any) -> None:
    """Does what PEFT's `merge(safe_merge=True)` does, without its check for NaN.

    The check takes longer than the merge itself.
    """
    base = layer.get_base_layer()
    for adapter in layer.active_adapters:
        if adapter in layer.lora_A:
            # A new tensor, never in place: the original is put back afterwards.
            base.weight.data = (base.weight + layer.get_delta_weight(adapter)).to(base.weight.dtype)
            layer.merged_adapters.append(adapter)
