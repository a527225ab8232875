"""Loading base models and their tokenisers, with and without an adapter."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


class BaseModelError(ValueError):
    """The base model cannot be found or used; the message says why."""


def preferred_device() -> str:
    """`cuda` where there is one, otherwise `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def preferred_dtype(device: "str | torch.device") -> "torch.dtype":
    """bfloat16 where the device computes in it natively, otherwise float32."""
    import torch

    if torch.device(device).type == "cuda":
        native = torch.cuda.is_bf16_supported()
    else:
        # Torch has no public function for this; a release without these private ones counts as
        # one without bfloat16.
        native = any(
            getattr(torch.cpu, name, lambda: False)()
            for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
    return torch.bfloat16 if native else torch.float32


def load_tokenizer(path: Path) -> "PreTrainedTokenizerBase":
    """The model's tokenizer, padding on the left as generation needs it.

    Raises:
        BaseModelError: the tokenizer has no chat template.
    """
    from transformers import AutoTokenizer

    # Local files only: a service must not reach for the model hub by itself.
    tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left", local_files_only=True)
    if tokenizer.chat_template is None:
        raise BaseModelError(f"the tokenizer in {path} has no chat template")
    # Padding is masked, so any token serves.
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(
    path: Path,
    *,
    adapter: Path | None = None,
    trainable: bool = False,
    dtype: "torch.dtype | None" = None,
    device: str | None = None,
) -> Any:
    """The base model, as a PEFT model when an adapter is given.

    Args:
        path: a directory in Transformers' format.
        adapter: directory of a LoRA adapter of this base.
        trainable: whether the adapter's weights are to be trained.
        dtype: default `preferred_dtype(device)`.
        device: default `preferred_device()`.
    """
    from transformers import AutoModelForCausalLM

    device = device or preferred_device()
    with quiet_loading():
        model: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype=dtype or preferred_dtype(device), local_files_only=True
        )
    model = model.to(device).eval()
    if adapter is None:
        return model
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(adapter), is_trainable=trainable)


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Hides Transformers' progress bars, which would end up in a service's log."""
    import transformers

    logging: Any = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
