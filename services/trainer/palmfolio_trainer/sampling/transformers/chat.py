"""From a prompt to the tokens that a model continues."""

from typing import Any

from jinja2 import TemplateError

from palmfolio_runtime.prompts import Prompt
from palmfolio_trainer.sampling.backend import PromptRefused


def prompt_ids(tokenizer: Any, prompt: Prompt) -> list[int]:
    """The chat template applied to a prompt's messages, up to where the answer begins.

    Raises:
        PromptRefused: the template does not take the messages.
    """
    try:
        encoded = tokenizer.apply_chat_template(
            prompt.chat(), add_generation_prompt=True, tokenize=True, return_dict=True
        )
    except TemplateError as error:  # many templates know no system message
        text = f"the base model's chat template refuses a conversation: {error}"
        raise PromptRefused(text) from error
    return list(encoded["input_ids"])
