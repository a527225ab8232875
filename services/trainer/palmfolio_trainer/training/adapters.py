"""LoRA adapters that methods train: made or loaded on a base model, and saved."""

from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model

from palmfolio_trainer.models.loading import load_model

TARGETS: dict[str, Any] = {
    "all": "all-linear",
    "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "mlp": ["gate_proj", "up_proj", "down_proj"],
}
"""PEFT's target modules, by the name that settings use."""


def trainable_model(
    base_path: Path, initial_adapter: Path | None, *, rank: int, alpha: float, targets: str
) -> Any:
    """The base model with one trainable adapter in float32, new or loaded.

    Args:
        base_path: folder of the base model.
        initial_adapter: an adapter to go on from; it keeps its own rank and targets.
        rank: of a new adapter.
        alpha: the update of a new adapter is scaled by `alpha / rank`.
        targets: a key of `TARGETS`.
    """
    if initial_adapter is not None:
        return _for_training(load_model(base_path, adapter=initial_adapter, trainable=True))
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # fractions work
        lora_dropout=0.0,
        target_modules=TARGETS[targets],
        task_type="CAUSAL_LM",
    )
    return _for_training(get_peft_model(load_model(base_path), config))


def save_adapter(model: Any, folder: Path) -> None:
    """Writes the model's adapter; equal adapters give equal files.

    PEFT keeps module names in sets, which it would write in the order of their hashes: another
    order in each process.
    """
    config = model.peft_config["default"]
    for name, value in list(vars(config).items()):
        if isinstance(value, set):
            setattr(config, name, sorted(value))
    # The vocabulary never changes here. By default PEFT would look for the base model's
    # configuration to find that out, on the model hub if its name is not a folder.
    model.save_pretrained(str(folder), selected_adapters=["default"], save_embedding_layers=False)


def _for_training(model: Any) -> Any:
    """Chooses the attention whose backward pass is fast on the model's device.

    On a CPU the backward pass of fused attention is slower than the plain one for sequences as
    short as ours.
    """
    if model.device.type == "cpu":
        model.set_attn_implementation("eager")
    return model
