"""Score models of safe-rlhf: a backbone, and a linear head `score_head` that reads its last token.

Transformers has no class for them; their configuration names one that ends in `ForScore`.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from palmfolio_scorer.models.files import TraitLoadError

if TYPE_CHECKING:
    import torch


def has_score_head(config: Any) -> bool:
    """Whether a model's configuration is that of a score model."""
    return any(name.endswith("ForScore") for name in config.architectures or ())


def load_score_head_model(
    source: str, config: Any, dtype: "torch.dtype", hub: dict[str, Any]
) -> Any:
    """A module with the interface of a Transformers classifier: `model(...).logits`.

    Raises:
        TraitLoadError: the head's weights are missing, or the model normalises its rewards by
            running statistics (a reward must depend on its own sample only).
    """
    import torch
    from transformers import AutoModel

    if getattr(config, "do_normalize", False):
        raise TraitLoadError(f"{source} normalises by running statistics (do_normalize)")
    head = _read_head(source, hub.get("revision"))
    if "weight" not in head:
        raise TraitLoadError(f"{source} has no score_head.weight: its rewards would be random")
    backbone, report = AutoModel.from_pretrained(
        source, dtype=dtype, output_loading_info=True, use_safetensors=True, **hub
    )
    if missing := sorted(report["missing_keys"]):
        raise TraitLoadError(f"{source} has no {', '.join(missing[:3])}")
    config.num_labels = head["weight"].shape[0]

    # A class within the function, so that importing this module does not import torch.
    class ScoreModel(torch.nn.Module):
        """The backbone with its head."""

        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone
            self.config = config
            rows, columns = head["weight"].shape
            self.score_head = torch.nn.Linear(columns, rows, bias="bias" in head, dtype=dtype)
            self.score_head.load_state_dict(head)

        def get_input_embeddings(self) -> Any:
            """The backbone's embeddings of tokens."""
            return self.backbone.get_input_embeddings()

        def forward(self, input_ids: Any, attention_mask: Any, **_: Any) -> SimpleNamespace:
            """Logits (B, K) at each row's last token."""
            hidden = self.backbone(input_ids, attention_mask=attention_mask).last_hidden_state
            last = attention_mask.sum(1) - 1
            rows = torch.arange(len(hidden), device=hidden.device)
            return SimpleNamespace(logits=self.score_head(hidden[rows, last]))

    return ScoreModel()


def _read_head(source: str, revision: str | None) -> dict[str, Any]:
    """The tensors `score_head.*`; safetensors only, never pickles."""
    from safetensors import safe_open
    from transformers.utils.hub import cached_file

    def find(name: str) -> str | None:
        path: str | None = cached_file(
            source, name, revision=revision, _raise_exceptions_for_missing_entries=False
        )
        return path

    files = {"model.safetensors"}
    if index := find("model.safetensors.index.json"):
        weight_map = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
        files = {file for key, file in weight_map.items() if key.startswith("score_head.")}
    head = {}
    for file in sorted(files):
        if path := find(file):
            with safe_open(path, framework="pt") as tensors:
                for key in tensors.keys():  # noqa: SIM118 - not a dictionary
                    if key.startswith("score_head."):
                        head[key.removeprefix("score_head.")] = tensors.get_tensor(key)
    return head
