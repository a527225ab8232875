"""Linear layers on a CPU with their weights in oneDNN's own layout.

Torch's general product reorders or copies a weight on every call; torch's compiler lays weights out
once, by the two operators used here. On short batches that is worth a tenth and more; and a row of
the product no longer depends, in its last digit, on how many other rows there are.
"""

from collections import Counter
from typing import Any

import torch

from palmfolio_runtime.logs import get_logger
from palmfolio_scorer.models.device import is_cpu

_log = get_logger(__name__)

_DTYPES = (torch.float32, torch.bfloat16)
_ROWS = 512  # tokens of a batch for which the layout is chosen; others work as well


class OneDnnLinear(torch.nn.Module):
    """x ↦ x·Wᵀ + b for (…, K) tensors, as `torch.nn.Linear`; its weights cannot be trained."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        """
        Raises:
            RuntimeError: this torch, or this processor, has no such layout.
        """
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        laid_out = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self.register_buffer("weight_as_laid_out", laid_out, persistent=False)
        self.bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, in_features) to (…, out_features)."""
        if x.numel() == self.in_features:
            # A single row takes another kernel, whose last digits differ: it goes as two.
            alone = self._product(x.reshape(1, -1).expand(2, -1).contiguous())[0]
            return alone.reshape(*x.shape[:-1], self.out_features)
        return self._product(x)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight_as_laid_out, self.bias, "none", [], ""
        )
        return y


def use_onednn(model: Any, device: str) -> None:
    """Replaces a model's linear layers where that gives the same outputs; else leaves them.

    A weight that several layers share stays as it is, so that it is not held twice.
    """
    if not is_cpu(device):
        return
    shared = Counter(
        parameter.data_ptr()
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
    )
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is not torch.nn.Linear or layer.weight.dtype not in _DTYPES:
                continue
            if shared[layer.weight.data_ptr()] > 1:
                continue
            replacement = _replacement(layer)
            if replacement is None:
                return
            setattr(parent, name, replacement)


def _replacement(layer: torch.nn.Linear) -> OneDnnLinear | None:
    """A layer's replacement, or None where it cannot be made or differs."""
    x = torch.linspace(-1.0, 1.0, 3 * layer.in_features).reshape(1, 3, -1).to(layer.weight.dtype)
    try:
        with torch.inference_mode():
            made = OneDnnLinear(layer)
            torch.testing.assert_close(made(x), layer(x), rtol=1e-2, atol=1e-2)
    except (RuntimeError, AttributeError, AssertionError) as error:
        _log.info("linear layers stay as they are", reason=str(error).splitlines()[0])
        return None
    return made
