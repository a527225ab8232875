"""Tiny models with random weights and no head, or a language model's: one for each architecture."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    ModernBertConfig,
    ModernBertModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5EncoderModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from tests.support.tiny_models import BODY, GPT2, tokenizer

ENCODERS = ("bert", "roberta", "xlm-r", "deberta-v3", "modernbert", "t5")
DECODERS = ("llama", "qwen3", "mistral", "gemma3", "gpt2")


def body(kind: str, folder: Path, *, chat: bool = False, begins: bool = False) -> Path:
    """Saves a model of that architecture with its tokeniser.

    Args:
        kind: one of `ENCODERS` or `DECODERS`.
        folder: where it goes.
        chat: keeps the tokeniser's chat template, which makes sentence-transformers use it.
        begins: the tokeniser begins texts with its BOS token, as Llama's does.
    """
    torch.manual_seed(0)
    tokens = tokenizer(pair=kind in ENCODERS, pad=True, types=kind == "bert")
    if begins:
        from tokenizers import processors

        tokens.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
        )
    if not chat:
        tokens.chat_template = None
    _model(kind, len(tokens)).save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def _model(kind: str, vocabulary: int) -> Any:
    own: dict[str, Any] = {"vocab_size": vocabulary, "pad_token_id": 0}
    ends: dict[str, Any] = own | {"bos_token_id": 1, "eos_token_id": 2}
    grouped: dict[str, Any] = BODY | ends | {"num_key_value_heads": 2}
    modern: dict[str, Any] = {k: v for k, v in BODY.items() if k != "initializer_range"}
    match kind:
        case "bert":
            return BertModel(BertConfig(**BODY, **own))
        case "roberta":
            return RobertaModel(RobertaConfig(**BODY, **own))
        case "xlm-r":
            return XLMRobertaModel(XLMRobertaConfig(**BODY, **own))
        case "deberta-v3":
            return DebertaV2Model(DebertaV2Config(**BODY, **own, relative_attention=True))
        case "modernbert":
            return ModernBertModel(ModernBertConfig(**modern, **own, local_attention=8))
        case "t5":
            sizes: dict[str, Any] = {
                "d_model": 32,
                "d_kv": 8,
                "d_ff": 64,
                "num_layers": 2,
                "num_heads": 4,
            }
            return T5EncoderModel(T5Config(**sizes, **own))
        case "llama":
            return LlamaForCausalLM(LlamaConfig(**grouped))
        case "qwen3":
            return Qwen3ForCausalLM(Qwen3Config(**grouped, head_dim=8))
        case "mistral":
            return MistralForCausalLM(MistralConfig(**grouped, sliding_window=8))
        case "gemma3":
            return Gemma3ForCausalLM(Gemma3TextConfig(**grouped, head_dim=8, sliding_window=8))
        case "gpt2":
            return GPT2LMHeadModel(GPT2Config(**GPT2, **ends))
        case _:
            raise ValueError(kind)
