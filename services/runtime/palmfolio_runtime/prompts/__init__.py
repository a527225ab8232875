"""Prompts: the checked values, and the checks of what clients send."""

from palmfolio_runtime.prompts.checks import check_prompts, prompt_problems, without_reference
from palmfolio_runtime.prompts.prompt import ChatMessage, Prompt, Role

__all__ = [
    "ChatMessage",
    "Prompt",
    "Role",
    "check_prompts",
    "prompt_problems",
    "without_reference",
]
