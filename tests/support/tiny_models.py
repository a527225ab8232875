"""Tiny models with random weights, of the architectures that reward models come in."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

CORPUS = [
    "How do I bake bread? Knead flour, water and yeast, then bake it in a hot oven.",
    "Human: Assistant: USER: ASSISTANT: yes no the a of and to in is you that it he was for on",
]
CHAT = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}"
    "{% endfor %}"
)
# Large enough weights that one token more or less is seen in the logits.
WEIGHTS: dict[str, Any] = {"initializer_range": 0.25}
BODY: dict[str, Any] = WEIGHTS | {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
}
GPT2: dict[str, Any] = WEIGHTS | {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 130}


def tokenizer(*, pair: bool, pad: bool, types: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokeniser; `pair` frames its inputs as BERT does, else it adds nothing;
    `types` tells the texts of a pair apart by token types.
    """
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(CORPUS, trainer)
    if pair:
        core.post_processor = processors.TemplateProcessing(
            single="<s>:0 $A:0 </s>:0",
            pair="<s>:0 $A:0 </s>:0 $B:1 </s>:1",
            special_tokens=[("<s>", 1), ("</s>", 2)],
        )
    names: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    if pad:
        names["pad_token"] = "<pad>"
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=128,
        model_input_names=[
            "input_ids",
            *(["token_type_ids"] if types else []),
            "attention_mask",
        ],
        **names,
    )
    wrapped.chat_template = CHAT
    return wrapped


def classifier(
    kind: str, folder: Path, labels: int = 1, seed: int = 0, unused_tokens: int = 0
) -> Path:
    """Saves a classifier of that architecture with its tokeniser; each unused token makes it
    128 bytes larger.
    """
    torch.manual_seed(seed)
    encoder = kind in {"bert", "roberta", "deberta", "distilbert"}
    tokens = tokenizer(
        pair=encoder, pad=encoder or kind == "qwen3", types=kind in {"bert", "deberta"}
    )
    vocabulary: dict[str, Any] = {"vocab_size": len(tokens) + unused_tokens, "num_labels": labels}
    decoder: dict[str, Any] = vocabulary | {"bos_token_id": 1, "eos_token_id": 2}
    config: Any
    if kind == "bert":
        model: Any = BertForSequenceClassification(BertConfig(**BODY, **vocabulary, pad_token_id=0))
    elif kind == "roberta":
        config = RobertaConfig(**BODY, **vocabulary, pad_token_id=0, type_vocab_size=2)
        model = RobertaForSequenceClassification(config)
    elif kind == "deberta":
        config = DebertaV2Config(
            **BODY, **vocabulary, pad_token_id=0, relative_attention=True, type_vocab_size=2
        )
        model = DebertaV2ForSequenceClassification(config)
    elif kind == "distilbert":
        config = DistilBertConfig(
            **WEIGHTS, dim=32, n_layers=2, n_heads=4, hidden_dim=64, **vocabulary, pad_token_id=0
        )
        model = DistilBertForSequenceClassification(config)
    elif kind == "gpt2":
        config = GPT2Config(**GPT2, **decoder)
        model = GPT2ForSequenceClassification(config)
    elif kind == "gpt2-pad-is-eos":
        config = GPT2Config(**GPT2, pad_token_id=2, **decoder)
        model = GPT2ForSequenceClassification(config)
    elif kind == "llama":
        config = LlamaConfig(**BODY, **decoder, num_key_value_heads=2, pad_token_id=None)
        model = LlamaForSequenceClassification(config)
    elif kind == "qwen3":
        config = Qwen3Config(**BODY, **decoder, num_key_value_heads=2, head_dim=8, pad_token_id=0)
        model = Qwen3ForSequenceClassification(config)
    else:
        raise ValueError(kind)
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def score_model(folder: Path, *, bias: bool) -> Path:
    """Saves a score model as safe-rlhf does: `model.*` and `score_head.*`."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    tokens = tokenizer(pair=False, pad=False)
    config = LlamaConfig(
        **BODY, vocab_size=len(tokens), num_key_value_heads=2, bos_token_id=1, eos_token_id=2
    )
    backbone = LlamaModel(config)
    head = torch.nn.Linear(32, 1, bias=bias)
    config.architectures = ["LlamaModelForScore"]
    config.save_pretrained(folder)
    tensors = {f"model.{name}": tensor for name, tensor in backbone.state_dict().items()}
    tensors |= {f"score_head.{name}": tensor for name, tensor in head.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokens.save_pretrained(folder)
    return folder


def language_model(folder: Path) -> Path:
    """Saves a causal language model."""
    torch.manual_seed(0)
    tokens = tokenizer(pair=False, pad=False)
    config = LlamaConfig(
        **BODY, vocab_size=len(tokens), num_key_value_heads=2, bos_token_id=1, eos_token_id=2
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder
