"""Tiny classifiers with random weights, one for each architecture."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, JambaConfig

from tests.support.architectures import bodies
from tests.support.tiny_models import BODY, tokenizer

FRAMED = ("bert", "roberta", "xlm-r", "deberta-v3", "modernbert", "t5")
"""Architectures whose tokeniser begins and ends each text."""
KINDS = (*FRAMED, "llama", "qwen3", "mistral", "gemma3", "gpt2", "jamba")


def head(kind: str, folder: Path, *, labels: int = 2, unlimited: bool = False) -> Path:
    """Saves a classifier of that architecture with its tokeniser.

    Args:
        kind: one of `KINDS`.
        folder: where it goes.
        labels: the number of logits.
        unlimited: the tokeniser states no limit of its own, as XLM-R's do not.
    """
    torch.manual_seed(0)
    tokens = tokenizer(pair=kind in FRAMED, pad=True, types=kind == "bert")
    if unlimited:
        tokens.model_max_length = 10**30
    jamba = kind == "jamba"
    config: Any = _jamba(len(tokens)) if jamba else bodies._model(kind, len(tokens)).config
    config.num_labels = labels
    if kind == "t5":
        config.eos_token_id, config.decoder_start_token_id = 2, 0
    model = AutoModelForSequenceClassification.from_config(config)
    # Weights that are large enough that one token more or less is seen in the logits.
    for name, weight in model.named_parameters():
        if weight.ndim > 1 and "conv" not in name:
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def _jamba(vocabulary: int) -> Any:
    return JambaConfig(
        **BODY,
        vocab_size=vocabulary,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        num_key_value_heads=2,
        attn_layer_period=2,
        attn_layer_offset=1,
        expert_layer_period=2,
        expert_layer_offset=1,
        num_experts=2,
        use_mamba_kernels=False,
        mamba_d_state=4,
        mamba_dt_rank=4,
    )


_OBJECTIVES = '''
from dataclasses import dataclass

import torch
from transformers import LlamaModel, LlamaPreTrainedModel
from transformers.utils import ModelOutput


@dataclass
class Output(ModelOutput):
    rewards: torch.Tensor = None
    score: torch.Tensor = None
    logits: torch.Tensor = None


class LlamaForObjectives(LlamaPreTrainedModel):
    """Several objectives, and their weighted sum as logits without a second dimension."""

    def __init__(self, config):
        super().__init__(config)
        self.model = LlamaModel(config)
        self.regression_layer = torch.nn.Linear(config.hidden_size, 19, bias=False)
        self.gating = torch.nn.Linear(config.hidden_size, 19, bias=False)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, **options):
        hidden = self.model(input_ids, attention_mask=attention_mask).last_hidden_state
        last = attention_mask.sum(1) - 1
        hidden = hidden[torch.arange(len(hidden)), last]
        rewards = self.regression_layer(hidden)
        score = (rewards * self.gating(hidden).softmax(-1)).sum(1)
        return Output(rewards=rewards, score=score, logits=score)
'''


def objectives(folder: Path) -> Path:
    """Saves a reward model as ArmoRM is: its own code, 19 `rewards`, and logits of shape (B,)."""
    head("llama", folder, labels=1)
    (folder / "modeling_objectives.py").write_text(_OBJECTIVES, encoding="utf-8")
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["architectures"] = ["LlamaForObjectives"]
    name = "modeling_objectives.LlamaForObjectives"
    config["auto_map"] = {"AutoModelForSequenceClassification": name}
    path.write_text(json.dumps(config), encoding="utf-8")
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["score.weight"]
    for name in ("regression_layer.weight", "gating.weight"):
        weights[name] = torch.randn(19, 32) / 4
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
