"""From a prompt to the tokens that a model continues."""

from typing import Any

from palmfolio_runtime.prompts import Prompt


def prompt_ids(tokenizer: Any, prompt: Prompt) -> list[int]:
    """The chat template applied to a prompt's messages, up to where the answer begins."""
    encoded = tokenizer.apply_chat_template(
        prompt.chat(), add_generation_prompt=True, tokenize=True, return_dict=True
    )
    return list(encoded["input_ids"])
