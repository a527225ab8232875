"""From a user's message to the tokens that a model continues."""

from typing import Any


def prompt_ids(tokenizer: Any, prompt: str) -> list[int]:
    """The chat template applied to one user message, up to where the answer begins."""
    encoded = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
    )
    return list(encoded["input_ids"])
