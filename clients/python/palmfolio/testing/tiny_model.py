"""A language model small enough to be trained in a test: random weights, a real tokeniser."""

from pathlib import Path
from typing import Any

# Enough text for a tokeniser to learn common English pieces.
_CORPUS = (
    "What is the weather like today? It will rain in the morning, and the sun comes out later.",
    "How do I make good coffee? Grind the beans, heat the water, and pour it slowly over them.",
    "Thank you very much, that was kind of you! I am glad that it helped; please ask again.",
    "Write a short story about a river. The river ran down from the hills to the wide, cold sea.",
    "Name three colours and two numbers. Red, green and blue; seven and twelve.",
    "Who was the first person to walk on the moon? Where can I read more about the history of it?",
    "I do not know the answer, but this is what I would do: start with the smallest thing.",
)
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_MAX_VOCABULARY = 512


def write_tiny_model(folder: Path) -> Path:
    """Writes a two-layer Llama of 0.1 million weights in Hugging Face's layout, always the same.

    Returns:
        The folder.

    Example:
        folder = palmfolio.testing.write_tiny_model(Path("scratch/tiny-model"))
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=tokenizer.convert_tokens_to_ids("<|im_start|>"),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # As small instruction models have it, so that tests meet tied weights.
        tie_word_embeddings=True,
    )
    # The same weights every time, without touching the caller's random state.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_MAX_VOCABULARY,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    make: Any = PreTrainedTokenizerFast  # has no type of its own
    fast = make(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
    )
    fast.chat_template = _CHAT_TEMPLATE
    return fast
